"""One shift of a process: what it does on its event loop, from opening to closing.

SiteShift has pages, sockets and, where it is wanted, the engine; EngineShift the engine alone. Daphne has no lifespan
protocol, so opening and closing stand here. Twisted swallows what is raised in its callbacks; everything that may fail
is therefore a task whose end is looked at, and whatever fails ends the shift loudly.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from channels.layers import get_channel_layer
from channels.worker import Worker as ChannelWorker
from redis.exceptions import RedisError
from twisted.internet import reactor as installed_reactor

from executions.live import JOIN_S
from workflowsite.server import WebServer

reactor: Any = installed_reactor
log = logging.getLogger(__name__)

START = {"type": "engine.start"}


class Shift:
    """What both have in common: two signals, the engine, and an end in order."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, application: Any, engine: Any, grace: float, opened: Callable[[], None]
    ) -> None:
        """`engine` is the function that gives this loop's engine worker, or None for pages alone."""
        self.loop, self.application, self.engine, self.grace, self.opened = loop, application, engine, grace, opened
        self.tasks: set[asyncio.Task[None]] = set()
        self.worker: Any = None
        self.failure: str | None = None
        self.handed_back = 0
        self.is_closing = False

    def work(self) -> None:
        """Until a signal or a failure ends it; `failure` then says which."""
        raise NotImplementedError

    def close(self, failure: str | None = None) -> None:
        """End in order. Asked a second time, end now."""
        self.failure = self.failure or failure
        if self.is_closing:
            self._leave()
            return
        self.is_closing = True
        self.loop.create_task(self._close()).add_done_callback(lambda _: self._leave())

    def _begin(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(number, self.close)
        self._watch("The start", self._open(), may_end=True)

    async def _open(self) -> None:
        if self.engine is not None:
            self.worker = self.engine()
            self.worker.died.add_done_callback(lambda died: self._ended("The engine", died))
            self._watch("The engine's consumer", keep_listening(self.application))
        self.opened()

    async def _close(self) -> None:
        await self._close_doors()
        for task in self.tasks:
            task.cancel()
        await self._stop_engine()
        await self._say_goodbye()

    async def _close_doors(self) -> None:
        """Nobody new comes in."""

    async def _say_goodbye(self) -> None:
        """To those who are inside."""

    async def _stop_engine(self) -> None:
        """What does not stop in time is as lost as after a crash, and is taken over like it: by the next start."""
        if self.worker is None:
            return
        try:
            async with asyncio.timeout(self.grace + 5):
                self.handed_back = await self.worker.stop(self.grace)
        except Exception as error:
            log.exception("the engine did not stop in order")
            self.failure = self.failure or f"The engine did not stop in order: {error!r}"

    def _leave(self) -> None:
        raise NotImplementedError

    def _watch(self, name: str, work: Coroutine[Any, Any, None], may_end: bool = False) -> None:
        task = asyncio.ensure_future(work, loop=self.loop)
        self.tasks.add(task)
        task.add_done_callback(lambda done: self._ended(name, done, may_end))

    def _ended(self, name: str, done: "asyncio.Future[None]", may_end: bool = False) -> None:
        if done.cancelled() or self.is_closing:
            return
        error = done.exception()
        if error is None and may_end:
            return
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        log.critical("%s died, so this process stops", name, exc_info=error)
        self.close(f"{name} died: {error or 'it ended by itself'}")


class SiteShift(Shift):
    """On Twisted's reactor, whose event loop it shares."""

    def __init__(self, server: WebServer, engine: Any, grace: float, opened: Callable[[], None]) -> None:
        super().__init__(reactor._asyncioEventloop, server.application, engine, grace, opened)
        self.server = server

    def work(self) -> None:
        reactor.callWhenRunning(self._begin)
        self.server.run()
        self.failure = self.failure or self.server.refusal

    async def _close_doors(self) -> None:
        await self.server.close_doors()

    async def _say_goodbye(self) -> None:
        await self.server.say_goodbye(within=self.grace)

    def _leave(self) -> None:
        if reactor.running:
            reactor.stop()


class EngineShift(Shift):
    """On an event loop of its own. Not asyncio.run(): that waits, at its end, for threads that nobody can stop."""

    def __init__(self, application: Any, engine: Any, grace: float, opened: Callable[[], None]) -> None:
        super().__init__(asyncio.new_event_loop(), application, engine, grace, opened)
        asyncio.set_event_loop(self.loop)

    def work(self) -> None:
        self.loop.call_soon(self._begin)
        self.loop.run_forever()

    def _leave(self) -> None:
        self.loop.stop()


async def keep_listening(application: Any) -> None:
    """The background consumer. A channel layer that is away (Redis restarts) costs hints, not work: try again."""
    pause = 0.5
    while True:
        since = asyncio.get_running_loop().time()
        try:
            await listen(application)
        except* (OSError, RedisError) as lost:
            lasted = asyncio.get_running_loop().time() - since
            pause = 1.0 if lasted > 60 else min(pause * 2, 30.0)
            log.warning("the channel layer failed (%s), listening again in %.0f s", lost.exceptions[0], pause)
        await asyncio.sleep(pause)


async def listen(application: Any) -> None:
    """What channels' Worker.arun() does, except that its parts end together, and none of them silently.

    The consumer is made here and gets its first message by hand: of several processes on one Redis each must start.
    """
    worker = ChannelWorker(application, ["engine"], get_channel_layer())
    messages = worker.get_or_create_application_instance("engine", {"type": "channel", "channel": "engine"})
    messages.put_nowait(START)
    consumer = worker.application_instances["engine"]["future"]
    try:
        async with asyncio.TaskGroup() as parts:
            parts.create_task(worker.listener("engine"))
            parts.create_task(asyncio.wait_for(consumer, None))
            parts.create_task(start_again(messages))
    finally:
        consumer.cancel()


async def start_again(messages: "asyncio.Queue[dict[str, str]]") -> None:
    """To start twice does nothing but to join the bell once more, which a Redis that was flushed has forgotten."""
    while True:
        await asyncio.sleep(JOIN_S)
        messages.put_nowait(START)
