"""Where mail goes: EMAIL_URL as Django's settings, and the terminal where there is none."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import sys
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.core.mail.backends import console, smtp

PORTS = {"smtp": 25, "smtp+tls": 587, "smtps": 465}
FORMS = "console:, file:///folder, smtp://host:25, smtp+tls://user:password@host:587, smtps://user:password@host:465"


class Terminal(console.EmailBackend):
    """On stderr: a command's stdout is for its result."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"stream": sys.stderr, **kwargs})


class Server(smtp.EmailBackend):
    """Django's, and it tells more: `refused` has the recipients that the server did not take, though it took others,
    with its code and words. stop(), from another thread, ends whatever is under way."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.refused: dict[str, tuple[int, bytes]] = {}
        self._talk: smtplib.SMTP | None = None

    @property
    def connection_class(self) -> type[smtplib.SMTP]:
        server, kind = self, super().connection_class

        class Talk(kind):  # type: ignore[misc, valid-type]
            def connect(self, *args: Any, **kwargs: Any) -> Any:
                server._talk = self  # before it waits for the greeting
                return super().connect(*args, **kwargs)

            def sendmail(self, *args: Any, **kwargs: Any) -> Any:
                server.refused = super().sendmail(*args, **kwargs)
                return server.refused

        return Talk

    def stop(self) -> None:
        talk_socket = self._talk and self._talk.sock
        if talk_socket:
            with contextlib.suppress(OSError):
                talk_socket.shutdown(socket.SHUT_RDWR)


def settings_of(url: str) -> dict[str, Any]:
    """Raises ImproperlyConfigured; the address may hold a password, so it is never repeated."""
    try:
        place = urlsplit(url)
        if place.scheme == "console":
            return {"EMAIL_BACKEND": "workflowsite.mail.Terminal"}
        if place.scheme == "file" and place.path.startswith("/"):
            folder = unquote(place.path)
            return {"EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend", "EMAIL_FILE_PATH": folder}
        if place.scheme in PORTS and place.hostname:
            return _smtp(place)
    except ValueError:  # of a port that is none
        pass
    raise ImproperlyConfigured(f"EMAIL_URL must be one of these forms: {FORMS}.")


def _smtp(place: SplitResult) -> dict[str, Any]:
    return {
        "EMAIL_BACKEND": "workflowsite.mail.Server",
        "EMAIL_HOST": place.hostname,
        "EMAIL_PORT": place.port or PORTS[place.scheme],
        "EMAIL_HOST_USER": unquote(place.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(place.password or ""),
        "EMAIL_USE_TLS": place.scheme == "smtp+tls",
        "EMAIL_USE_SSL": place.scheme == "smtps",
    }
