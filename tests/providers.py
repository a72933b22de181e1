"""A language model's provider on loopback, which speaks the wire formats of OpenAI's chat completions and Anthropic's
messages: streaming, structured answers, and the ways in which both fail.

It runs in a thread with an event loop of its own, so that tests with and without one can use it. What it answers is
said beforehand, a Reply for each request; what it was asked is in `asked`.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

KEY = "sk-test-of-the-loopback-4711"
PATIENCE_S = 20.0
CREATED = 1_763_900_000
ANTHROPIC_STOPS = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}


@dataclass(frozen=True)
class Reply:
    """`pieces`: what is said, in so many parts. `body`: sent as it is, and no stream. `hold_at`: before this piece
    it waits until `release()`. `cut_at`: before this piece the connection is dropped; `end_at`: the stream just ends
    there. `error_at`: there an error comes in the stream. `raw_at`: there bytes come that are none of the format."""

    pieces: Sequence[str] = ("Hello",)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    usage: tuple[int, int] | None = (12, 7)
    finish: str = "stop"
    hold_at: int | None = None
    cut_at: int | None = None
    end_at: int | None = None
    error_at: int | None = None
    raw_at: int | None = None
    raw: bytes = b""


@dataclass(frozen=True)
class Asked:
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def key(self) -> str:
        return self.headers.get("x-api-key") or self.headers.get("authorization", "").removeprefix("Bearer ")


def failure(status: int, message: str, code: str = "some_error", **headers: str) -> Reply:
    """An error as both providers have it: the one reads “error.message”, the other also “type”."""
    error = {"type": "error", "error": {"type": code, "message": message, "code": code, "param": None}}
    sent = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Reply(status=status, headers=sent, body=json.dumps(error).encode())


class Provider:
    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.replies: list[Reply] = []
        self.otherwise = Reply()
        self.left = 0  # clients that went before the answer's end
        self._changed = threading.Condition()
        self._gate = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._port = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def openai(self) -> str:
        return f"http://{self.host}/v1"

    @property
    def anthropic(self) -> str:
        return f"http://{self.host}"

    def says(self, *replies: Reply | str) -> Provider:
        self.replies += [Reply((reply,)) if isinstance(reply, str) else reply for reply in replies]
        return self

    def release(self) -> None:
        self._loop.call_soon_threadsafe(self._gate.set)

    def until(self, *, asked: int = 0, left: int = 0) -> None:
        """Blocks until so many requests came, and so many clients left."""
        with self._changed:
            come = self._changed.wait_for(lambda: len(self.asked) >= asked and self.left >= left, PATIENCE_S)
        assert come, f"{len(self.asked)} requests came, {self.left} clients left"

    # Its life

    def run(self, started: threading.Event) -> None:
        async def serve() -> None:
            self._server = await asyncio.start_server(self._handle, "127.0.0.1", 0)
            self._port = self._server.sockets[0].getsockname()[1]
            started.set()

        self._loop.run_until_complete(serve())
        self._loop.run_forever()

    def stop(self) -> None:
        async def end() -> None:
            self._server.close()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(PATIENCE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)

    # One request

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (asked := await _read(reader)) is not None:
                await self._answer(asked, reader, writer)
        except ConnectionError:
            self._note_leaving()
        except asyncio.CancelledError:
            pass  # the server stops
        finally:
            writer.close()

    async def _answer(self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reply = wrong if (wrong := _refused(asked)) else self.replies.pop(0) if self.replies else self.otherwise
        with self._changed:
            self.asked.append(asked)
            self._changed.notify_all()
        if reply.body is not None:
            _head(writer, reply, {"content-length": str(len(reply.body))})
            writer.write(reply.body)
        else:
            _head(writer, reply, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
            await self._stream(reply, asked, reader, writer)
        await writer.drain()

    async def _stream(
        self, reply: Reply, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        is_anthropic = asked.path.endswith("/messages")
        pieces = Anthropic(reply, asked) if is_anthropic else OpenAI(reply, asked)
        _chunk(writer, pieces.begin())
        for number, piece in enumerate((*reply.pieces, "")):
            if reply.hold_at == number:
                await writer.drain()
                await self._hold(reader)
            if reply.cut_at == number:
                await writer.drain()
                writer.transport.abort()
                raise ConnectionResetError
            if reply.end_at == number:
                break
            if reply.error_at == number:
                _chunk(writer, pieces.error())
                break
            if reply.raw_at == number:
                _chunk(writer, reply.raw)
            if number < len(reply.pieces):
                _chunk(writer, pieces.piece(piece))
                await writer.drain()
            else:
                _chunk(writer, pieces.end())
        writer.write(b"0\r\n\r\n")

    async def _hold(self, reader: asyncio.StreamReader) -> None:
        """Until it is released; a client that leaves meanwhile is noted."""
        gate, leaving = asyncio.create_task(self._gate.wait()), asyncio.create_task(reader.read(1))
        await asyncio.wait({gate, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if leaving.done() and not gate.done():
            gate.cancel()
            raise ConnectionResetError
        leaving.cancel()
        with suppress(asyncio.CancelledError):
            await leaving
        self._gate.clear()

    def _note_leaving(self) -> None:
        with self._changed:
            self.left += 1
            self._changed.notify_all()


class OpenAI:
    def __init__(self, reply: Reply, asked: Asked) -> None:
        self.reply, self.asked = reply, asked

    def begin(self) -> bytes:
        return self._event([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])

    def piece(self, text: str) -> bytes:
        return self._event([{"index": 0, "delta": {"content": text}, "finish_reason": None}])

    def error(self) -> bytes:
        return _data({"error": {"message": "The server had an error.", "type": "server_error", "code": None}})

    def end(self) -> bytes:
        last = self._event([{"index": 0, "delta": {}, "finish_reason": self.reply.finish}])
        wants = (self.asked.body.get("stream_options") or {}).get("include_usage")
        return last + (self._usage() if self.reply.usage and wants else b"") + b"data: [DONE]\n\n"

    def _usage(self) -> bytes:
        given, made = self.reply.usage or (0, 0)
        return self._event([], {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made})

    def _event(self, choices: list[Any], usage: Any = None) -> bytes:
        chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": CREATED}
        return _data({**chunk, "model": self.asked.body["model"], "choices": choices, "usage": usage})


class Anthropic:
    def __init__(self, reply: Reply, asked: Asked) -> None:
        self.reply, self.asked, self.tools = reply, asked, asked.body.get("tools")

    def begin(self) -> bytes:
        given = self.reply.usage[0] if self.reply.usage else 0
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "content": [],
            "model": self.asked.body["model"],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": given, "output_tokens": 1},
        }
        return self._event("message_start", message=message) + self._block()

    def _block(self) -> bytes:
        tool = {"type": "tool_use", "id": "toolu_1", "name": self.tools[0]["name"], "input": {}} if self.tools else None
        return self._event("content_block_start", index=0, content_block=tool or {"type": "text", "text": ""})

    def piece(self, text: str) -> bytes:
        delta = {"type": "input_json_delta", "partial_json": text} if self.tools else None
        return self._event("content_block_delta", index=0, delta=delta or {"type": "text_delta", "text": text})

    def error(self) -> bytes:
        return self._event("error", error={"type": "overloaded_error", "message": "Overloaded"})

    def end(self) -> bytes:
        reason = "tool_use" if self.tools and self.reply.finish == "stop" else ANTHROPIC_STOPS[self.reply.finish]
        usage = {"output_tokens": self.reply.usage[1] if self.reply.usage else 0}
        return (
            self._event("content_block_stop", index=0)
            + self._event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage=usage)
            + self._event("message_stop")
        )

    def _event(self, name: str, **data: Any) -> bytes:
        return f"event: {name}\n".encode() + _data({"type": name, **data})


def _refused(asked: Asked) -> Reply | None:
    """What the real ones refuse too."""
    needed = ("model", "messages", "max_tokens") if asked.path.endswith("/messages") else ("model", "messages")
    if asked.path not in ("/v1/chat/completions", "/v1/messages"):
        return failure(404, f"Unknown request URL: POST {asked.path}", "unknown_url")
    if missing := [name for name in needed if name not in asked.body]:
        return failure(400, f"{missing[0]}: Field required", "invalid_request_error")
    if not asked.body.get("stream"):
        return failure(400, "This test server streams only", "invalid_request_error")
    return None


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    with suppress(asyncio.IncompleteReadError):
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines) if name}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return Asked(first.split()[1], headers, json.loads(body or b"{}"))
    return None


def _head(writer: asyncio.StreamWriter, reply: Reply, headers: Mapping[str, str]) -> None:
    lines: Iterable[str] = (f"{name}: {value}" for name, value in {**headers, **reply.headers}.items())
    writer.write("\r\n".join((f"HTTP/1.1 {reply.status} Said", *lines, "", "")).encode())


def _data(value: Any) -> bytes:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()


def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    if data:
        writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


@contextmanager
def providing() -> Iterator[Provider]:
    provider, started = Provider(), threading.Event()
    thread = threading.Thread(target=provider.run, args=(started,), daemon=True)
    thread.start()
    assert started.wait(PATIENCE_S)
    try:
        yield provider
    finally:
        provider.stop()
        thread.join(PATIENCE_S)
        provider._loop.close()
