"""VUR: time series in notebooks. Every number has a notebook."""

__version__ = "0.1.0"
