"""Accounts: register, log in, refresh, log out, profile, personal keys."""

from fastapi import APIRouter

router = APIRouter(prefix="/auth", tags=["auth"])
