"""Bentos of single models: building them, and the code that runs in them."""
