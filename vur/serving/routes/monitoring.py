"""Monitoring: pipelines, models, databases, continuous predictions, system."""

from fastapi import APIRouter

from vur.serving.routes import databases

router = APIRouter(prefix="/monitoring", tags=["monitoring"])
router.include_router(databases.router)
