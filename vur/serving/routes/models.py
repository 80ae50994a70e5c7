"""Models: algorithms, configuration, results, saving and loading, promotion."""

from fastapi import APIRouter

router = APIRouter(prefix="/models", tags=["models"])
