"""The web server of `serve`: Daphne, with its ports, its sockets and its failures in our hands.

It never decides when to start or stop: that is the command's affair.
"""

import asyncio
import errno
import logging
import time
import warnings
from typing import Any

from daphne.endpoints import build_endpoint_description_strings
from daphne.server import Server
from daphne.ws_protocol import WebSocketProtocol
from django.conf import settings

GOING_AWAY = 4012  # to our pages: the server restarts, come back soon (a browser may close with 3000-4999 alone)
MESSAGE_BYTES = 4 * 1024 * 1024  # both ways: a page says a number, but what it is sent may be a long traceback

logging.getLogger("daphne").setLevel(logging.WARNING)
# WhiteNoise streams from a thread, which is fine for files as small as ours.
warnings.filterwarnings("ignore", "StreamingHttpResponse must consume synchronous iterators")


class WebServer(Server):
    def __init__(self, application: Any, host: str, port: int) -> None:
        super().__init__(
            application=application,
            endpoints=build_endpoint_description_strings(host=host, port=port),
            signal_handlers=False,
            http_timeout=120,
            websocket_max_message_size=MESSAGE_BYTES,
            websocket_max_frame_size=MESSAGE_BYTES,
            server_name="",
            verbosity=2,  # at 1 Daphne sends Twisted's log, its errors too, to nowhere
        )
        self.connections: dict[Any, dict[str, Any]] = {}
        self.ports: list[Any] = []
        self.refusal: str | None = None

    def listen_success(self, port: Any) -> None:
        self.ports.append(port)
        super().listen_success(port)

    def listen_error(self, failure: Any) -> None:
        self.refusal = self._refusal(failure.value)
        self.stop()

    def kill_all_applications(self) -> Any:
        """Daphne's own stumbles over connections whose application has just ended."""
        running = {who: what for who, what in self.connections.items() if "application_instance" in what}
        self.connections = running
        return super().kill_all_applications()

    def _refusal(self, error: Any) -> str:
        number = getattr(getattr(error, "socketError", None), "errno", None)
        if number == errno.EADDRINUSE:
            return f"Port {error.port} is taken by another program. Take another one: PORT={error.port + 1} make run"
        return f"{error} HOST and PORT choose where Stepstream listens."

    def address(self) -> str:
        """Where people find it. A server on all addresses is shown by the one that works here."""
        if settings.PUBLIC_URL:
            return str(settings.PUBLIC_URL)
        host, port = self.listening_addresses[0]
        if host in {"0.0.0.0", "::"}:
            host = "localhost"
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def close_doors(self) -> None:
        """Nobody new comes in; who is inside stays."""
        for port in self.ports:
            closing = port.stopListening()
            if closing is not None:
                await closing.asFuture(asyncio.get_running_loop())

    async def say_goodbye(self, within: float) -> None:
        """Close the sockets politely, and give pages that are being made `within` seconds."""
        for protocol in list(self.connections):
            if isinstance(protocol, WebSocketProtocol):
                protocol.serverClose(code=GOING_AWAY)
        end = time.monotonic() + within
        while self._is_busy() and time.monotonic() < end:
            await asyncio.sleep(0.05)

    def _is_busy(self) -> bool:
        return any(not connection.get("disconnected") for connection in self.connections.values())
