"""What a child process gives up before it reads anything that people wrote: on Linux nearly all, elsewhere what it can.

Runs inside the child (`python -I -S`, no environment): the standard library alone, and nothing of ours. Every layer
may be missing on some machine; what is in force is handed back by name, and jail.py tries whether it holds.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass

FILES, TCP, SIGNALS, SOCKETS, PRIVILEGES = "files", "tcp", "signals", "sockets", "privileges"
USER, LIMITS, PARENT, MEMORY = "user", "limits", "parent", "memory"

MIB = 1024 * 1024
FIRST_UID = 2_000_000_000  # far above what anybody assigns; one for each child, so that none can signal another
NOBODY = 65_534

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446  # the same on every architecture
READ_FILE, READ_DIR = 1 << 2, 1 << 3

# Landlock: which rights to files each version of its interface knows. What is handled and not granted is refused.
FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
TCP_RIGHTS = 0b11  # bind, connect: since 4
SCOPES = 0b11  # abstract sockets, signals: since 6

# seccomp: what no interpreter needs any more once it is warm. (x86-64, arm64); -1: there is none.
ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1), "arm64": (0xC00000B7, 1)}
REFUSED_CALLS = (
    *((41, 198), (42, 203), (49, 200), (50, 201)),  # socket, connect, bind, listen (an event loop needs socketpair)
    *((57, -1), (58, -1), (59, 221), (322, 281)),  # fork, vfork, execve, execveat
    *((101, 117), (310, 270), (311, 271)),  # ptrace, process_vm_readv, process_vm_writev
    *((425, 425), (426, 426), (427, 427)),  # io_uring
    *((272, 97), (308, 268), (321, 280), (298, 241)),  # unshare, setns, bpf, perf_event_open
    *((165, 40), (155, 41), (250, 219), (248, 217)),  # mount, pivot_root, keyctl, add_key
    *((438, 438), (434, 434), (424, 424)),  # pidfd_getfd, pidfd_open, pidfd_send_signal
)
ALLOW, REFUSE_EPERM = 0x7FFF0000, 0x00050001


@dataclass(frozen=True, slots=True)
class Limits:
    """`memory`: bytes, of address space; of data where `is_data`, for an engine that reserves far more than it uses."""

    memory: int
    cpu_s: int
    is_data: bool = False
    files: int = 16


def close_doors(readable: Sequence[str] = ()) -> list[str]:
    """Files, network and other processes are out of reach from now on, but for reading what is below `readable`.

    Holds for this thread and those that it starts: call it before there are others.
    """
    if not sys.platform.startswith("linux"):
        return []
    layers = [PRIVILEGES] if _prctl(PR_SET_NO_NEW_PRIVS, 1) else []
    layers += _landlock(readable)
    return layers + ([SOCKETS] if _seccomp() else [])


def give_up(limits: Limits) -> list[str]:
    """The rest, for the whole process: an account of its own, limits, and death with its parent."""
    parent = os.getppid()
    layers = [USER] if _own_user() else []
    layers += _limit(limits)
    if sys.platform.startswith("linux"):
        # After the change of user, which clears the first and would let the second be undone.
        layers += [PARENT] if _prctl(PR_SET_PDEATHSIG, signal.SIGKILL) else []
        layers += [MEMORY] if _prctl(PR_SET_DUMPABLE, 0) else []
    if os.getppid() != parent:
        os._exit(1)  # it died before it could be said that this one dies with it
    return layers


def _prctl(option: int, value: int) -> bool:
    return _libc().prctl(option, ctypes.c_ulong(value), 0, 0, 0) == 0


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _landlock(readable: Sequence[str]) -> list[str]:
    libc = _libc()
    version = libc.syscall(LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return []
    files = (1 << FILE_RIGHTS.get(version, max(FILE_RIGHTS.values()))) - 1
    asked = struct.pack("QQQ", files, TCP_RIGHTS if version >= 4 else 0, SCOPES if version >= 6 else 0)
    ruleset = libc.syscall(LANDLOCK_CREATE, asked, ctypes.c_size_t(8 if version < 4 else 16 if version < 6 else 24), 0)
    if ruleset < 0:
        return []
    for path in readable:
        _let_read(libc, ruleset, path)
    is_closed = libc.syscall(LANDLOCK_RESTRICT, ruleset, 0) == 0
    os.close(ruleset)
    if not is_closed:
        return []
    return [FILES, *([TCP] if version >= 4 else []), *([SIGNALS] if version >= 6 else [])]


def _let_read(libc: ctypes.CDLL, ruleset: int, path: str) -> None:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        libc.syscall(LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", READ_FILE | READ_DIR, fd), 0)
    finally:
        os.close(fd)


def _seccomp() -> bool:
    """Answers EPERM to system calls that nothing here needs: sockets of every kind, UDP included, above all.

    A list of what is refused and not of what is allowed: interpreters differ in what they need, Landlock is the wall.
    """
    architecture = ARCHITECTURES.get(os.uname().machine)
    if architecture is None:
        return False
    audit, column = architecture
    numbers = [call[column] for call in REFUSED_CALLS if call[column] >= 0]
    refuse = len(numbers) + 1
    program = [(0x20, 0, 0, 4), (0x15, 0, refuse + 2, audit), (0x20, 0, 0, 0)]  # load arch, compare; load number
    program.append((0x35, refuse, 0, 0x40000000))  # x32: the same calls by other numbers
    program += [(0x15, refuse - place - 1, 0, number) for place, number in enumerate(numbers)]
    program += [(0x06, 0, 0, ALLOW), (0x06, 0, 0, REFUSE_EPERM)]
    return _install(program)


def _install(program: list[tuple[int, int, int, int]]) -> bool:
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    packed = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
    return _libc().prctl(PR_SET_SECCOMP, ctypes.c_ulong(2), ctypes.c_ulong(ctypes.addressof(packed)), 0, 0) == 0


def _own_user() -> bool:
    """Where it was started as root: an account that nobody has."""
    if os.getuid() != 0:
        return False
    for uid in (FIRST_UID + os.getpid() % 100_000_000, NOBODY):
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            return True
        except (OSError, AttributeError):
            continue  # a container without that number, or a system without these calls
    return False


def _limit(limits: Limits) -> list[str]:
    kinds = [("CPU", limits.cpu_s), ("FSIZE", 0), ("CORE", 0), ("NOFILE", limits.files), ("NPROC", 0)]
    kinds.append(("DATA" if limits.is_data else "AS", limits.memory))
    done = [_set_limit(name, value) for name, value in kinds]
    return [LIMITS] if all(done) else []


def _set_limit(name: str, value: int) -> bool:
    kind = getattr(resource, f"RLIMIT_{name}", None)
    if kind is None:
        return False
    try:
        resource.setrlimit(kind, (value, value))
    except (OSError, ValueError):
        return False  # macOS refuses a limit of address space
    return True
