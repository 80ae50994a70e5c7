"""Pipelines: the seven steps from a dataset to a model."""

from fastapi import APIRouter

router = APIRouter(prefix="/pipelines", tags=["pipelines"])
