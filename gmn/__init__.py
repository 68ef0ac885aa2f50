"""gmn, the Generative Music Network: raw-audio generators and music classifiers as batch jobs on Ray."""

__version__ = "0.1.0"
