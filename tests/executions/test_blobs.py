"""Large values as files: what goes out, what comes back, and what is said where it cannot."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from executions import blobs
from executions.blobs import NotReadable, NotWritten, TooLarge, copy, forget, is_small, join, said, split
from workflows.errors import WorkflowStepError

KIB, MIB = 1024, 1024 * 1024
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def limits(settings: Any) -> None:
    settings.ENGINE = {**settings.ENGINE, "INLINE_BYTES": 256 * KIB, "DATA_BYTES": 16 * MIB}


@pytest.fixture
def folder(settings: Any) -> Path:
    return Path(settings.DATA_DIR) / "blobs"


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def of_bytes(size: int) -> dict[str, Any]:
    """An object whose JSON has exactly so many bytes, as split() counts: a comma more than it has."""
    return {"a": "x" * (size - 2 - 7)}


# What stays and what goes


def test_what_fits_stays_as_it_is(folder: Path) -> None:
    values = {"name": "Ada", "list": [1, 2.5, None, True]}
    assert split(1, values) == (values, None)
    assert split(1, {}) == ({}, None)
    assert not folder.exists()


def test_the_border_is_exact(folder: Path) -> None:
    assert split(1, of_bytes(256 * KIB))[1] is None
    inline, refs = split(1, of_bytes(256 * KIB + 1))
    assert inline == {} and refs is not None and list(refs) == ["a"]


def test_the_largest_goes_first_and_no_more_than_needed(folder: Path) -> None:
    values = {"small": "s" * 100, "middle": "m" * 200 * KIB, "large": "l" * 300 * KIB}
    inline, refs = split(1, values)
    assert list(inline) == ["small", "middle"]
    assert refs is not None and refs["large"]["bytes"] == 300 * KIB + 2
    assert join(1, inline, refs) == values


@pytest.mark.parametrize(
    "value",
    [
        "ä€🎉\u2028\ufffd" * 40_000,
        [{"n": i, "ü": "🎉"} for i in range(20_000)],
        {"deep": ["x" * 300_000]},
        "\x01" * 300_000,
    ],
)
def test_what_comes_back_is_what_went_out(value: Any) -> None:
    values = {"value": value, "🎉 key/../": 1, "": None}
    inline, refs = split(7, values)
    assert refs is not None
    assert join(7, inline, json.loads(json.dumps(refs))) == values


def test_many_small_values_share_one_file(folder: Path) -> None:
    values = {f"key {i}": f"{i}" + "v" * 500 for i in range(10_000)} | {"*": "a star of one's own"}
    inline, refs = split(1, values)
    assert refs is not None
    assert len(files(folder)) == blobs.MAX_FILES + 1
    assert refs["**"]["keys"] > 5_000
    assert join(1, inline, refs) == values


def test_a_name_as_long_as_a_book_leaves_no_long_reference() -> None:
    values = {"k" * 300 * KIB: 1, "other": 2}
    inline, refs = split(1, values)
    assert inline == {"other": 2}
    assert len(json.dumps(refs)) < 1_000
    assert join(1, inline, refs) == values


def test_sixteen_mebibytes_are_kept_and_one_byte_more_is_not(folder: Path) -> None:
    values = of_bytes(16 * MIB)
    inline, refs = split(1, values)
    assert join(1, inline, refs) == values
    with pytest.raises(TooLarge) as caught:
        split(2, of_bytes(16 * MIB + 1))
    assert caught.value.is_permanent and isinstance(caught.value, WorkflowStepError)
    assert "at most 16 MiB" in caught.value.message and "ENGINE_DATA_BYTES" in caught.value.message
    assert caught.value.details == {"bytes": 16 * MIB + 1, "limit": 16 * MIB}
    assert not (folder / "2").exists()


def test_another_limit_can_be_said() -> None:
    with pytest.raises(TooLarge):
        split(1, {"a": "x" * 100}, limit=50)


# Files


def test_the_same_content_is_written_once(folder: Path) -> None:
    text = "x" * 300 * KIB
    split(1, {"one": text})
    (path,) = files(folder)
    before = path.stat().st_ino, path.stat().st_mtime_ns
    inline, refs = split(1, {"one": text, "other": text})
    assert files(folder) == [path]
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == before
    assert join(1, inline, refs) == {"one": text, "other": text}


def test_many_may_write_the_same_at_once(folder: Path) -> None:
    values = {"a": "x" * MIB, "b": list(range(100_000))}
    with ThreadPoolExecutor(16) as threads:
        done = list(threads.map(lambda _: split(1, values), range(64)))
    assert all(join(1, *one) == values for one in done)
    assert len(files(folder)) == 2


def test_only_its_owner_may_read_the_folder(folder: Path) -> None:
    split(1, {"a": "x" * MIB})
    (path,) = files(folder)
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_a_file_that_is_gone_is_a_sentence() -> None:
    inline, refs = split(12, {"body": "x" * MIB})
    forget([12])
    with pytest.raises(NotReadable, match="“body” of execution #12 .* its file is gone"):
        join(12, inline, refs)


def test_a_file_that_was_changed_is_not_taken_for_what_was_written(folder: Path) -> None:
    inline, refs = split(12, {"body": "x" * MIB})
    (path,) = files(folder)
    path.write_bytes(b'"' + b"y" * MIB + b'"')
    with pytest.raises(NotReadable, match="was changed"):
        join(12, inline, refs)


def test_a_file_that_was_cut_is_written_again(folder: Path) -> None:
    values = {"body": "x" * MIB}
    split(12, values)
    (path,) = files(folder)
    path.write_bytes(b"half")
    assert join(12, *split(12, values)) == values


@pytest.mark.parametrize("digest", ["../../../etc/passwd", "a" * 63, "A" * 64, "", "a" * 64 + "/..", "a" * 64 + "\n"])
def test_a_reference_is_never_a_path(digest: str) -> None:
    with pytest.raises(NotReadable, match="its reference is broken"):
        join(1, {}, {"a": {"sha256": digest, "bytes": 3}})


def test_the_storage_itself_stays_in_its_folder_and_has_no_address() -> None:
    with pytest.raises(SuspiciousFileOperation):
        storages["blobs"].save("../db.sqlite3", ContentFile(b"mine"))
    with pytest.raises(ValueError, match="no address"):
        storages["blobs"].url("1/" + "a" * 64)


def test_a_copy_outlives_the_first(folder: Path) -> None:
    values = {"body": "x" * MIB}
    inline, refs = split(1, values)
    copy(1, 2, refs)
    copy(1, 3, None)
    forget([1, 1, 99])
    assert [path.name for path in folder.iterdir()] == ["2"]
    assert join(2, inline, refs) == values


def test_forgetting_takes_what_was_half_written_too(folder: Path) -> None:
    split(1, {"body": "x" * MIB})
    (folder / "1" / ".new-abc").write_bytes(b"half")
    forget([1])
    assert list(folder.iterdir()) == []


def in_a_process(code: str, data: Path) -> subprocess.Popen[str]:
    program = f"import django; django.setup(); from executions.blobs import split\n{code}"
    env = {"PATH": os.environ["PATH"], "DATA_DIR": str(data), "DJANGO_SETTINGS_MODULE": "workflowsite.settings"}
    return subprocess.Popen([sys.executable, "-c", program], env=env, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_a_write_that_the_system_refuses_is_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))\n"
        "try: split(1, {'a': 'x' * 1_000_000})\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    told, _ = in_a_process(code, tmp_path).communicate(timeout=60)
    assert told.startswith(f"{NotWritten.__name__} A value of 976.6 KiB could not be kept: File too large")
    assert files(tmp_path / "blobs") == []


def test_a_full_disk_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(NotWritten, match="the disk of the data folder is full"):
        split(1, {"a": "x" * MIB})


def test_a_kill_in_the_middle_leaves_whole_files_only(tmp_path: Path) -> None:
    code = "import itertools\nprint('go', flush=True)\n"
    code += "for i in itertools.count(): split(i, {'a': str(i) + 'x' * 3_000_000})"
    process = in_a_process(code, tmp_path)
    assert process.stdout is not None and process.stdout.readline() == "go\n"
    sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    named = [path for path in files(tmp_path / "blobs") if not path.name.startswith(".new-")]
    assert named
    assert all(blobs.sha256(path.read_bytes()).hexdigest() == path.name for path in named)


# Small or not


@pytest.mark.parametrize(
    "value", [None, 1, -2.5, True, "text", {}, [], {"a": [1, {"b": "c" * 1000}]}, "x" * 60_000, list(range(4_000))]
)
def test_what_is_small_may_stay_on_the_loop(value: Any) -> None:
    assert is_small(value)


@pytest.mark.parametrize(
    "value",
    ["x" * 70_000, list(range(100_000)), {str(i): i for i in range(50_000)}, {"a": {"b": ["x" * 70_000]}}, 10**100_000],
    ids=("text", "list", "object", "deep", "number"),
)
def test_what_is_large_may_not(value: Any) -> None:
    assert not is_small(value)


def test_what_is_no_json_or_has_no_end_is_not_small() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert not is_small(endless)
    assert not is_small({"made by": object()})
    assert not is_small(b"bytes")


def test_looking_stops_early() -> None:
    class Watched(list[Any]):
        def __iter__(self) -> Any:
            raise AssertionError("looked inside")

    assert not is_small(Watched([0] * 1_000_000))


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (812, "812 bytes"),
        (65_536, "64 KiB"),
        (3_355_443, "3.2 MiB"),
        (MIB - 1, "1 MiB"),
        (2**31, "2 GiB"),
    ],
)
def test_sizes_are_said_in_short(size: int, words: str) -> None:
    assert said(size) == words
