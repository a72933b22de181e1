"""A visitor without a browser, on a real server: signs in by the form, posts forms, and keeps a page's socket open."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import struct
import threading
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar
from typing import Any

PATIENCE_S = 30.0  # for one answer; what takes longer hangs


class Caller:
    """A browser's cookies and forms, by urllib."""

    def __init__(self, url: str) -> None:
        self.url, self.jar = url, CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))

    def sign_in(self, name: str, password: str) -> None:
        self.post("/sign-in/", self.get("/sign-in/"), username=name, password=password)
        assert any("session" in cookie.name for cookie in self.jar)

    def get(self, path: str) -> str:
        with self.opener.open(self.url + path, timeout=PATIENCE_S) as answer:
            return str(answer.read().decode())

    def post(self, path: str, page: str, **fields: str) -> str:
        """A form of `page`; the address at which one is afterwards."""
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        assert found, page[:500]
        body = urllib.parse.urlencode({**fields, "csrfmiddlewaretoken": found[1]}).encode()
        request = urllib.request.Request(self.url + path, body, {"Referer": self.url + path})
        with self.opener.open(request, timeout=PATIENCE_S) as answer:
            return str(answer.url)

    def watch(self, execution_id: int) -> Watcher:
        return Watcher(self.url, execution_id, "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.jar))


class Watcher:
    """An execution's page as far as its socket goes: says hello, and keeps what comes in a thread of its own."""

    def __init__(self, url: str, execution_id: int, cookie: str) -> None:
        place = urllib.parse.urlsplit(url)
        self.numbers: list[int] = []
        self.frames: list[str] = []
        self.socket = socket.create_connection((place.hostname, place.port), timeout=PATIENCE_S)
        self._shake_hands(place.netloc, f"/ws/executions/{execution_id}/", cookie, url)
        self.socket.settimeout(None)
        self._say(json.dumps({"after": 0}))
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def is_final(self) -> bool:
        return any("data-final" in frame for frame in self.frames)

    def leave(self) -> None:
        self.socket.close()

    def _shake_hands(self, host: str, path: str, cookie: str, origin: str) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", f"Cookie: {cookie}", f"Origin: {origin}"]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self.stream = self.socket.makefile("rb")
        assert b" 101 " in self.stream.readline()
        while self.stream.readline().strip():
            pass

    def _say(self, text: str) -> None:
        """One short frame, masked as a client's must be."""
        body, mask = text.encode(), os.urandom(4)
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(body))
        self.socket.sendall(bytes([0x81, 0x80 | len(body)]) + mask + masked)

    def _listen(self) -> None:
        while frame := self._frame():
            code, body = frame
            if code == 8:
                return
            if code == 1:
                self.frames.append(body.decode())
                self.numbers += [int(number) for number in re.findall(r'data-seq="(\d+)"', self.frames[-1])]

    def _frame(self) -> tuple[int, bytes] | None:
        try:
            head = self.stream.read(2)
            length: Any = head[1] & 0x7F
            if length >= 126:
                form = ">H" if length == 126 else ">Q"
                (length,) = struct.unpack(form, self.stream.read(struct.calcsize(form)))
            return head[0] & 0x0F, self.stream.read(length)
        except (OSError, ValueError, IndexError, struct.error):
            return None
