"""Jobs: thin drivers over the library, `python -m jobs.NAME`."""
