"""The fixtures of the service: a catalog on SQLite and PostgreSQL, the application around it, a few users."""

from service import *  # noqa: F403 - fixtures
