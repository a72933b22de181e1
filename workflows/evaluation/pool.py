"""The children in which expressions are evaluated: two a process, warm from their first use, killed when they are late.

Blocks on pipes only, with the interpreter free for others. A forked process starts children of its own.
"""

from __future__ import annotations

import atexit
import os
import queue
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from enum import Enum

from workflows.jail import children as jail

CHILDREN = 2
WALL_S = 0.5
PATIENCE_S = 5.0  # what a child gets that had no time to work: the machine is busy, and it is not to blame
BUSY_S = 0.1  # CPU time beyond which it had
START_S = 15.0
EVALUATIONS, WORK_S = 5_000, 30.0  # of one child's life, well below its limit of CPU time
KILLS, MINUTE = 3, 60.0
OWNERS = 10_000
ANSWERS_BYTES = 32 * 1024 * 1024  # of all that is asked for at once
LONGEST_LINE = 8 * 1024 * 1024  # a result's JSON, all of it escaped

Request = Callable[[int], bytes]


class Ended(Enum):
    """Why there is no answer."""

    LATE = "It took longer than 0.5 s, so it was stopped."
    CRASHED = "It takes too much memory or is nested too deeply, so it was stopped."
    BARRED = (
        "Three expressions of this workflow had to be stopped within a minute, because they took too long or too much "
        "memory. Others of it are not tried until that minute is over."
    )
    TOGETHER = "What the expressions of this step give has more than 32 MiB together."
    NO_CHILD = "The process that evaluates expressions could not be started. The server's administrator can say why."


class Late(Exception):
    pass


class Died(Exception):
    def __init__(self, is_guilty: bool) -> None:
        """`is_guilty`: by a crash of its own, and not by somebody's hand."""
        self.is_guilty = is_guilty


class Enough(Exception):
    """More than ANSWERS_BYTES."""


class Worker:
    """One child at a time, for one thread at a time."""

    def __init__(self) -> None:
        self._child: jail.Child | None = None
        self._unread = b""
        self._evaluations, self._work_s = 0, 0.0

    def ask(self, line: bytes, many: int, heard: Callable[[str], None]) -> None:
        """Sends one line and hands `many` answers on, each as it comes. Raises Late, Died or OSError."""
        if self._evaluations >= EVALUATIONS or self._work_s >= WORK_S or self._has_more():
            self.close()
        child = self._child or self._start()
        began, used = time.monotonic(), cpu_s(child.pid)
        self._evaluations += many
        try:
            self._send(child, line, began, used)
            for _ in range(many):
                heard(self._line(child, began, used).decode(errors="surrogatepass"))
        except BaseException:  # what is left of its answers must not become anybody else's
            self.close()
            raise
        self._work_s += time.monotonic() - began

    def close(self) -> None:
        child, self._child, self._unread = self._child, None, b""
        self._evaluations, self._work_s = 0, 0.0
        if child:
            jail.kill(child)

    def forget(self) -> None:
        if self._child:
            jail.forget(self._child)
        self._child = None

    def _start(self) -> jail.Child:
        self._child = child = jail.spawn("evaluation/child", "minijinja")
        assert child.stdin and child.stdout
        os.set_blocking(child.stdin.fileno(), False)
        os.set_blocking(child.stdout.fileno(), False)
        try:
            self._line(child, time.monotonic() + START_S - WALL_S, None)
        except (Late, Died):
            self.close()
            raise OSError("The child did not start.") from None
        return child

    def _has_more(self) -> bool:
        """It said more than it was asked for, so it is not any more what we started."""
        if not self._child or not self._child.stdout:
            return False
        readable = select.poll()
        readable.register(self._child.stdout.fileno(), select.POLLIN)
        return bool(self._unread) or any(event & select.POLLIN for _, event in readable.poll(0))

    def _send(self, child: jail.Child, line: bytes, began: float, used: float | None) -> None:
        assert child.stdin
        fd, left = child.stdin.fileno(), memoryview(line)
        while left:
            try:
                left = left[os.write(fd, left) :]
            except BlockingIOError:
                self._wait(child, fd, select.POLLOUT, began, used)
            except BrokenPipeError:
                raise self._died(child) from None

    def _line(self, child: jail.Child, began: float, used: float | None) -> bytes:
        assert child.stdout
        fd, pieces = child.stdout.fileno(), [self._unread]
        while b"\n" not in pieces[-1]:
            self._wait(child, fd, select.POLLIN, began, used)
            piece = os.read(fd, 256 * 1024)
            if not piece or sum(map(len, pieces)) > LONGEST_LINE:
                raise self._died(child)
            pieces.append(piece)
        line, _, self._unread = b"".join(pieces).partition(b"\n")
        return line

    def _wait(self, child: jail.Child, fd: int, what: int, began: float, used: float | None) -> None:
        poll = select.poll()
        poll.register(fd, what)
        while not poll.poll(max(0.0, began + WALL_S - time.monotonic()) * 1000):
            if not self._had_no_time(child, began, used):
                raise Late
            if poll.poll(20):
                return

    def _had_no_time(self, child: jail.Child, began: float, used: float | None) -> bool:
        now = cpu_s(child.pid)
        if used is None or now is None or time.monotonic() > began + PATIENCE_S:
            return False
        return now - used < BUSY_S

    def _died(self, child: jail.Child) -> Died:
        with suppress(Exception):
            child.wait(1)
        code = child.returncode
        self.close()
        return Died(is_guilty=code is not None and code not in (0, -9, -15))


def cpu_s(pid: int) -> float | None:
    """CPU time that a process has used; None where the system does not say."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123 (every batch comes here)
            fields = stat.read().rpartition(b")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


class Pool:
    def __init__(self) -> None:
        self._workers = [Worker() for _ in range(CHILDREN)]
        self._free: queue.LifoQueue[Worker] = queue.LifoQueue()  # the last one used is the warmest
        for worker in self._workers:
            self._free.put(worker)
        self._lock = threading.Lock()
        self._kills: dict[str, deque[float]] = {}

    def ask(self, request: Request, many: int, owner: str) -> list[str | Ended]:
        """`request(n)`: the line that asks for all from the n-th on. An answer, or why there is none, for each."""
        worker = self._free.get()
        try:
            return self._answers(worker, request, many, owner)
        finally:
            self._free.put(worker)

    def _answers(self, worker: Worker, request: Request, many: int, owner: str) -> list[str | Ended]:
        made: list[str | Ended] = []
        retried, room = -1, ANSWERS_BYTES

        def take(answer: str) -> None:
            nonlocal room
            room -= len(answer)
            if room < 0:
                raise Enough
            made.append(answer)

        while len(made) < many:
            if self._is_barred(owner):
                return made + [Ended.BARRED] * (many - len(made))
            try:
                worker.ask(request(len(made)), many - len(made), take)
            except Enough:
                return made + [Ended.TOGETHER] * (many - len(made))
            except Late:
                made.append(self._killed(owner, Ended.LATE))
            except Died as died:
                if died.is_guilty or retried == len(made):
                    made.append(self._killed(owner, Ended.CRASHED))
                else:
                    retried = len(made)  # somebody ended the child: the same again, once
            except (OSError, ImportError, RuntimeError):  # the last where the interpreter is about to end
                return made + [Ended.NO_CHILD] * (many - len(made))
        return made

    def _killed(self, owner: str, why: Ended) -> Ended:
        with self._lock:
            while len(self._kills) >= OWNERS:
                del self._kills[next(iter(self._kills))]
            self._kills.setdefault(owner, deque(maxlen=KILLS)).append(time.monotonic())
        return why

    def _is_barred(self, owner: str) -> bool:
        with self._lock:
            kills = self._kills.get(owner)
            if kills and kills[-1] < time.monotonic() - MINUTE:
                del self._kills[owner]
                return False
            return kills is not None and len(kills) == KILLS and kills[0] > time.monotonic() - MINUTE

    def forgive(self) -> None:
        """Nobody is kept out any longer."""
        with self._lock:
            self._kills.clear()

    def pids(self) -> list[int]:
        return [worker._child.pid for worker in self._workers if worker._child]

    def close(self) -> None:
        """Waits for what is under way, then ends the children."""
        taken = [self._free.get() for _ in self._workers]
        for worker in taken:
            worker.close()
            self._free.put(worker)

    def renew(self) -> None:
        """In a forked process."""
        for worker in self._workers:
            worker.forget()
        self.__init__()  # type: ignore[misc]


POOL = Pool()
atexit.register(POOL.close)
os.register_at_fork(after_in_child=POOL.renew)
