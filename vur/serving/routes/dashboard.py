"""The dashboard: numbers, recent activity and recommended tasks, all computed from the catalog."""

from fastapi import APIRouter

router = APIRouter(prefix="/dashboard", tags=["dashboard"])
