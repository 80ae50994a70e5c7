"""Training in the background: start, watch, cancel, retry, schedule."""

from fastapi import APIRouter

router = APIRouter(tags=["training"])
