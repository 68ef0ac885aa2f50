"""Labelling: classifiers over files, libraries and datasets."""
