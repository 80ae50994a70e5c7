"""Connections that send no request: without a limit, anybody could hold as many sockets as the process may open."""

import time
from collections.abc import Iterable
from typing import Any

SECONDS = 20.0  # from the connection, or the last response, to the end of the next request's headers


class Silent:
    """Finds and closes connections that have been waiting for a request too long; its body has a limit of its own.

    An idle connection is closed sooner, by uvicorn's `timeout_keep_alive`, unless it has sent half a request.
    WebSockets are left alone: they have sent their request, and authenticate in time or are closed.
    """

    def __init__(self) -> None:
        self.waiting: dict[Any, tuple[Any, float]] = {}

    def close(self, connections: Iterable[Any]) -> None:
        """Close those of uvicorn's connections whose next request is overdue; called every second."""
        moment, found = time.monotonic(), {}
        for one in connections:
            if not hasattr(one, "cycle"):  # a WebSocket
                continue
            cycle = one.cycle  # of the last request whose headers are complete
            if cycle is not None and not cycle.response_complete:
                continue
            last, since = self.waiting.get(one, (cycle, moment))
            found[one] = (cycle, since if last is cycle else moment)
            if moment - found[one][1] > SECONDS:
                one.transport.close()
        self.waiting = found
