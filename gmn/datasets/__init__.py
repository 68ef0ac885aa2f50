"""Datasets: labels, splits, ingest and reading."""
