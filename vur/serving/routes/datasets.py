"""Datasets: upload, look, choose columns, prepare, split, download."""

from fastapi import APIRouter

router = APIRouter(prefix="/datasets", tags=["datasets"])
