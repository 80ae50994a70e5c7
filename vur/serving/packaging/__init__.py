"""Bentos of single models: how they are made, and what runs in them."""
