"""Live messages of the service, in a thread of the page's kernel."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

RESTS = (1, 2, 5, 15, 60)  # seconds before the next attempt after a lost connection


class Live(threading.Thread):
    """Listen on the WebSocket of the API at `url` and call `tell` after each message of one of the `types`.

    `token` may be replaced while it runs: the next connection uses it.
    """

    def __init__(self, url: str, token: str | None, types: tuple[str, ...], tell: Callable[[], Any]):
        super().__init__(daemon=True, name="live")
        parts = urlsplit(url)
        scheme = {"https": "wss"}.get(parts.scheme, "ws")
        self.address = f"{scheme}://{parts.netloc}{parts.path.removesuffix('/api/v1')}/ws"
        self.token, self.types, self.tell = token, types, tell

    def run(self) -> None:
        """Connect, and again after a lost connection, until the kernel ends."""
        from websockets.exceptions import WebSocketException
        from websockets.sync.client import connect

        lost = 0
        while True:
            try:
                # In a header and not in the address, which logs and proxies keep.
                with connect(
                    self.address, additional_headers={"Authorization": f"Bearer {self.token}"}, proxy=None
                ) as connection:
                    lost = 0
                    for text in connection:
                        if json.loads(text).get("type") in self.types:
                            self.tell()
            except (OSError, WebSocketException, ValueError):
                pass  # the page polls as well, and the next attempt follows
            time.sleep(RESTS[min(lost, len(RESTS) - 1)])
            lost += 1
