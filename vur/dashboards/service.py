"""Whether the service answers: it starts later than the pages' server, and may be started again under it."""

import time

from vur.dashboards.page import service_url

PATIENCE = 3.0  # seconds for an answer
BELIEVED = 5.0  # seconds that a good answer is believed
BUSY = 60.0  # seconds that a service that has answered may be silent without counting as gone
_answered: list[float] = [float("-inf")]  # when it answered last, on the monotonic clock


async def answers() -> bool:
    """Whether the service is ready for requests."""
    import httpx

    since = time.monotonic() - _answered[0]
    if since < BELIEVED:
        return True
    try:
        async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as client:
            alive = (await client.get(service_url().removesuffix("/api/v1") + "/health/live")).status_code == 200
    except httpx.ReadTimeout:  # the socket is open: it starts, or has much to do
        return since < BUSY
    except httpx.TransportError:
        return False
    if alive:
        _answered[0] = time.monotonic()
    return alive
