"""Predictions: now, in batches, and what became of them."""

from fastapi import APIRouter

router = APIRouter(prefix="/predictions", tags=["predictions"])
