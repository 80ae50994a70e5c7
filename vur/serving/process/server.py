"""One service process of `vur serve`: the BentoML service under uvicorn, on the supervisor's listening socket.

BentoML's own process manager keeps the socket open while its worker has already stopped accepting, so that connections
wait and are reset when it exits. Here a process that shuts down accepts the queued connections, answers them, and sends
`Connection: close`.
"""

import asyncio
import socket
import sys
import time
from collections.abc import Callable

import uvicorn

from vur.serving.process.silent import Silent

GRACE = 30  # seconds for requests in progress after SIGTERM
LINGER = 1.0  # seconds in which an idle open connection may still send a request
BACKLOG = 2048


class DrainingServer(uvicorn.Server):
    """A uvicorn server that closes silent connections, and answers every one queued by the kernel before it exits."""

    def __init__(self, config: uvicorn.Config):
        super().__init__(config)
        self.silent = Silent()

    async def on_tick(self, counter: int) -> bool:
        """Look for silent connections every second, besides what uvicorn does every tenth of it."""
        if counter % 10 == 0:
            self.silent.close(list(self.server_state.connections))
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Empty the accept queue, wait briefly for requests on open connections, then shut down as uvicorn does."""
        waiting = [one.dup() for one in sockets or []]  # closing the server closes only its own copy
        for server in self.servers:
            server.close()
        for one in sockets or []:
            one.close()
        self.server_state.default_headers.append((b"connection", b"close"))
        for one in waiting:
            await self._take_all(one)
            one.close()
        end = time.monotonic() + LINGER
        while self.server_state.connections and time.monotonic() < end:
            await asyncio.sleep(0.02)
        await super().shutdown()

    async def _take_all(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        while True:
            try:
                connection, _ = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            connection.setblocking(False)
            await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        protocol: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return protocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)


def bind(host: str, port: int) -> socket.socket:
    """Return a TCP socket that service processes inherit and listen on. `OSError` if the address is unavailable."""
    found = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
    except OSError:
        found.close()
        raise
    return found


def serve(listener: socket.socket) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    from bentoml._internal.context import server_context

    from vur.serving.live import LARGEST_FRAME
    from vur.serving.process.stopping import Stoppable
    from vur.serving.service import service

    server_context.service_name, server_context.service_type = service.name, "entry_service"
    config = uvicorn.Config(
        Stoppable(service.to_asgi()),
        log_config=None,
        access_log=False,
        backlog=BACKLOG,
        server_header=False,
        proxy_headers=False,  # the guard reads them, of the proxies that the settings trust
        ws_max_size=LARGEST_FRAME,
        timeout_graceful_shutdown=GRACE,
    )
    DrainingServer(config).run(sockets=[listener])


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
