"""Labelling: classifiers over files and libraries."""
