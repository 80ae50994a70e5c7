"""Monitoring: pipelines, models, databases, continuous predictions, system."""

from fastapi import APIRouter

router = APIRouter(prefix="/monitoring", tags=["monitoring"])
