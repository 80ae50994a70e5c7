"""ASGI middleware around the application: authentication, limits, idempotency, and observability."""
