"""Forecasts asked for while VUR runs: opened models, their answers, the ledger, and what happened."""
