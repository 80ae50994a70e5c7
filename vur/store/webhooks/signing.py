"""Secrets and signatures of webhooks: HMAC-SHA256 over the time of the call, a dot, and the body."""

import hashlib
import hmac
import secrets

from vur.errors import VurError
from vur.store.catalog import Webhook
from vur.store.secret import cipher

PREFIX = "whsec_"
SIGNATURE, TIMESTAMP, DELIVERY, EVENT = "X-VUR-Signature", "X-VUR-Timestamp", "X-VUR-Delivery", "X-VUR-Event"


def new_secret() -> str:
    """A random secret of 256 bits, which begins with `whsec_`."""
    return PREFIX + secrets.token_urlsafe(32)


def sealed(secret: str) -> str:
    """A secret as the catalog holds it: encrypted with the key of the data home."""
    return cipher().encrypt(secret.encode()).decode()


def opened(webhook: Webhook) -> str:
    """The secret of a webhook; `VurError` webhooks.secret if it was encrypted with the key of another data home."""
    from cryptography.fernet import InvalidToken

    try:
        return cipher().decrypt(webhook.secret.encode()).decode()
    except InvalidToken:
        raise VurError("webhooks.secret", name=webhook.name) from None


def signature(secret: str, timestamp: int | str, body: bytes) -> str:
    """`sha256=` and the HMAC-SHA256 of `timestamp.body` in hexadecimal digits, keyed with the whole secret."""
    signed = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"sha256={signed.hexdigest()}"
