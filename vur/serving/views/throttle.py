"""Throttling of password guesses: refused from an address that guesses, only delayed for an account that is guessed at.

An account is never closed to its owner: from another address the right password is accepted, after a delay of seconds
while somebody guesses. An attempt is counted before it is checked, so that parallel ones are counted too. Names of
accounts that do not exist are counted alike, so that nothing tells which do.
"""

import math
import unicodedata
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.store import counters
from vur.store.accounts.sessions import digest
from vur.store.catalog import now

WINDOW = timedelta(minutes=5)
PER_ACCOUNT, PER_ADDRESS = 10, 15  # failures per window from one address: with one account, and with any
FREE = 10  # failures per window of one account from all addresses together before attempts are delayed
LONGEST = 8.0  # seconds, well below the 30 after which clients give up


class Delayed(Exception):
    """The attempt was counted, and may be checked after `seconds`."""

    def __init__(self, seconds: float):
        super().__init__(seconds)
        self.seconds = seconds


def account_key(login: str) -> str:
    """The key under which attempts with this login are counted, whether it is an account's or not."""
    return digest(unicodedata.normalize("NFKC", login).strip().lower())


def count(session: Session, account: str, address: str) -> float:
    """Count an attempt before it is checked, and return the seconds to wait before that.

    `VurError` api.throttled if there were too many from `address`.
    """
    attempt(session, f"login:{address}", PER_ADDRESS, WINDOW)
    attempt(session, f"login:{account}@{address}", PER_ACCOUNT, WINDOW)
    failures, _ = counters.increment(session, f"login:{account}", WINDOW)
    return min(2.0 ** (failures - FREE - 1), LONGEST) if failures > FREE else 0.0


def succeeded(session: Session, account: str, address: str) -> None:
    """Take back a counted attempt whose password was right, and forget this address's failures with the account.

    Those of other addresses stay counted. In the order of `count`, so that two concurrent logins cannot deadlock.
    """
    counters.decrement(session, f"login:{address}")
    counters.clear(session, f"login:{account}@{address}")
    counters.decrement(session, f"login:{account}")


def attempt(session: Session, key: str, most: int, window: timedelta) -> None:
    """Count an attempt of any kind. `VurError` api.throttled if there were more than `most` in the window."""
    found, start = counters.increment(session, key, window)
    if found > most:
        raise VurError("api.throttled", seconds=_left(start, window))


def _left(start: datetime, window: timedelta) -> int:
    return max(1, math.ceil((start + window - now()).total_seconds()))
