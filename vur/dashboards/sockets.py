"""WebSockets: what passes between a browser and its page's kernel, and that they end with their login."""

import json
import logging
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from tornado.websocket import WebSocketHandler
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

ENDED = 4401  # the close code after the end of a login
LEFT = (1000, 1001)  # the close codes of a browser that leaves a page; a lost connection has none
CONTROL = "jupyter.widget.control"  # the only comm that a page's scripts open: it asks for the states of all panels
EXPECTED = ("comm_open", "comm_msg", "comm_close", "comm_info_request", "kernel_info_request")
ANSWERED = ("comm_open", "comm_msg", "comm_close", "comm_info_reply", "kernel_info_reply", "status", "shutdown_reply")
PARTS = 10_000  # of a message
PRINTED = 8_000  # characters of what a kernel prints that are logged at once
V1 = "v1.kernel.websocket.jupyter.org"
OPEN: WeakSet[WebSocketHandler] = WeakSet()
log = logging.getLogger("vur.dashboards")


def end_after_logout(admitted: Callable[[Any], bool]) -> None:
    """Close the sockets that are no longer `admitted`, because their login or their visitor's right has ended.

    A browser reads that it has to ask for the session; a kernel of JupyterLab keeps running for its owner.
    """
    for socket in list(OPEN):
        if socket.ws_connection is None:
            continue
        if not admitted(socket):
            OPEN.discard(socket)
            socket.close(ENDED, "session ended")


class PageSocket(VoilaKernelWebsocketHandler):
    """The socket of a page's kernel."""

    def write_error(self, status_code: int, **options: Any) -> None:
        """Answer a handshake that is refused without a page, for which there is nobody to look at."""
        self.finish()


class PageConnection(ZMQChannelsWebsocketConnection):
    """A browser's connection to its page's kernel: messages of panels pass, and nothing else in either direction.

    What a kernel prints, such as a traceback with the server's paths, is for the log and not for a visitor.
    """

    def handle_incoming_message(self, incoming_msg: Any) -> None:
        """Hand an expected message on; anything else that a browser made up is dropped."""
        kind, content = self._read(incoming_msg)
        if kind not in EXPECTED or (kind == "comm_open" and content.get("target_name") != CONTROL):
            log.info("a message of type %.40r was dropped before kernel %s", kind, self.kernel_id)
            return
        super().handle_incoming_message(incoming_msg)

    def disconnect(self) -> None:  # type: ignore[override]
        """Let the kernel end soon after its browser has gone."""
        before = self.multi_kernel_manager.watchers(self.kernel_id)
        super().disconnect()
        if before:
            code = self.websocket_handler.close_code if self.websocket_handler else None
            self.multi_kernel_manager.left(self.kernel_id, said=code in LEFT)

    def _on_zmq_reply(self, stream: Any, msg_list: Any) -> None:
        whole = isinstance(msg_list, dict)
        header = msg_list["header"] if whole else self.session.unpack(bytes(msg_list[0]))
        if header["msg_type"] in ANSWERED:
            super()._on_zmq_reply(stream, msg_list)
        elif header["msg_type"] == "stream":
            content = msg_list["content"] if whole else self.session.unpack(bytes(msg_list[3]))
            text = str(content.get("text", "")).rstrip()
            cut = text if len(text) <= PRINTED else f"{text[: PRINTED // 2]} … {text[-PRINTED // 2 :]}"
            log.warning("kernel %s: %s", self.kernel_id, cut)

    def _read(self, message: Any) -> tuple[str, dict[str, Any]]:
        """Type and content of a message; the type is empty if it cannot be read."""
        try:
            if self.subprotocol == V1:
                if int.from_bytes(message[:8], "little") > PARTS:
                    return "", {}
                _, parts = deserialize_msg_from_ws_v1(message)
                header, content = (json.loads(bytes(parts[place])) for place in (0, 3))
            else:
                read = json.loads(message) if isinstance(message, str) else {}
                header, content = read["header"], read.get("content") or {}
            return str(header["msg_type"]), dict(content)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            return "", {}
