"""Predictions of the running service: open models, responses, the ledger, and scores against actual values."""
