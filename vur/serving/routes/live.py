"""Live messages over a WebSocket."""

from fastapi import APIRouter

router = APIRouter(tags=["live"])
