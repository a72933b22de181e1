"""Backup and restore with real files and real processes: whole, checked, refused where it must be, and never a loss."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workflowsite import restoring, snapshot
from workflowsite.archive import MANIFEST, BadArchive, is_safe, pack, read
from workflowsite.data_folder import held
from workflowsite.management.commands.backup import data_files

ROOT = Path(__file__).resolve().parents[2]


def manage(data: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "DATA_DIR": str(data), "DEBUG": "1", **more}
    command = [sys.executable, str(ROOT / "manage.py"), *words]
    return subprocess.run(command, env=env, cwd=data.parent, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("site") / "var"
    done = manage(data, "prepare")
    assert done.returncode == 0, done.stderr
    return data


@pytest.fixture
def data(prepared: Path, tmp_path: Path) -> Path:
    """A data folder of one's own, with a file of an execution and a note in the database."""
    folder = tmp_path / "var"
    shutil.copytree(prepared, folder)
    (folder / "blobs" / "12").mkdir(parents=True)
    (folder / "blobs" / "12" / ("a" * 64)).write_bytes(b"large")
    (folder / "files" / "3" / "reports").mkdir(parents=True)
    (folder / "files" / "3" / "reports" / "2026 ü.csv").write_bytes(b"a,b")
    write(folder, "first")
    return folder


def write(data: Path, text: str) -> None:
    with sqlite3.connect(data / "db.sqlite3") as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS note (text)")
        connection.execute("INSERT INTO note VALUES (?)", [text])
    connection.close()


def notes(data: Path) -> list[str]:
    connection = sqlite3.connect(data / "db.sqlite3")
    found = [row[0] for row in connection.execute("SELECT text FROM note ORDER BY rowid")]
    connection.close()
    return found


def tree(data: Path) -> dict[str, bytes]:
    return {
        path.relative_to(data).as_posix(): path.read_bytes()
        for path in sorted(data.rglob("*"))
        if path.is_file() and path.name not in ("serve.lock", "db.sqlite3-shm", "db.sqlite3-wal")
    }


@pytest.fixture
def archive(data: Path, tmp_path: Path) -> Path:
    file = tmp_path / "mine.tar.gz"
    done = manage(data, "backup", str(file))
    assert done.returncode == 0, done.stderr
    assert "Checked." in done.stdout
    return file


def test_what_was_backed_up_comes_back_and_what_was_there_is_kept_aside(data: Path, archive: Path) -> None:
    key = (data / "secret_key").read_text()
    write(data, "second")
    (data / "secret_key").write_text("another key that is as long as a key has to be, or longer than that")
    (data / "blobs" / "12" / ("a" * 64)).unlink()
    shutil.rmtree(data / "files")
    done = manage(data, "restore", str(archive))
    assert done.returncode == 0, done.stderr
    assert notes(data) == ["first"]
    assert (data / "secret_key").read_text() == key
    assert (data / "blobs" / "12" / ("a" * 64)).read_bytes() == b"large"
    assert (data / "files" / "3" / "reports" / "2026 ü.csv").read_bytes() == b"a,b"
    (aside,) = data.glob("before-restore-*")
    assert str(aside) in done.stdout
    assert notes(aside) == ["first", "second"]
    assert (aside / "secret_key").read_text().startswith("another key")
    assert manage(data, "migrate", "--check").returncode == 0


def test_it_comes_back_in_an_empty_folder_too(archive: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh" / "var"
    fresh.parent.mkdir()
    done = manage(fresh, "restore", str(archive))
    assert done.returncode == 0, done.stderr
    assert notes(fresh) == ["first"]


def test_only_its_owner_may_read_a_backup(archive: Path) -> None:
    assert archive.stat().st_mode & 0o077 == 0


def test_without_a_name_it_lies_in_the_data_folder_and_is_in_no_later_backup(data: Path) -> None:
    for _ in range(2):
        assert manage(data, "backup").returncode == 0
    files = sorted((data / "backups").glob("stepstream-*.tar.gz"))
    assert len(files) == 2
    assert not any(name.startswith("backups") for name in read(files[1]).files)


def test_it_is_one_moment_of_the_database_while_others_write(data: Path, tmp_path: Path) -> None:
    file, stop = data / "db.sqlite3", threading.Event()

    connection = sqlite3.connect(file)
    connection.executescript("CREATE TABLE one (n); CREATE TABLE two (n);")
    connection.close()

    def keep_writing() -> None:
        connection = sqlite3.connect(file, timeout=20)
        while not stop.is_set():
            with connection:
                connection.execute("INSERT INTO one VALUES (zeroblob(500))")
                connection.execute("INSERT INTO two VALUES (zeroblob(500))")
        connection.close()

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        counts = []
        for number in range(5):
            copy = tmp_path / f"{number}.sqlite3"
            snapshot.take(file, copy)
            snapshot.check(copy)
            connection = sqlite3.connect(copy)
            counts.append(
                connection.execute("SELECT (SELECT COUNT(*) FROM one), (SELECT COUNT(*) FROM two)").fetchone()
            )
            connection.close()
    finally:
        stop.set()
        writer.join()
    assert all(one == two for one, two in counts) and counts[-1][0] > 0


def test_no_file_is_overwritten(data: Path, archive: Path) -> None:
    before = archive.read_bytes()
    done = manage(data, "backup", str(archive))
    assert done.returncode == 1 and "is there already" in done.stderr
    assert archive.read_bytes() == before


def test_where_it_cannot_be_written_it_says_so_and_leaves_nothing(data: Path, tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    done = manage(data, "backup", str(tmp_path / "a file" / "mine.tar.gz"))
    assert done.returncode == 1 and "The backup was not made" in done.stderr and "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a file", "var"]


def test_a_damaged_database_is_not_backed_up_as_if_it_were_whole(data: Path, tmp_path: Path) -> None:
    connection = sqlite3.connect(data / "db.sqlite3")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with (data / "db.sqlite3").open("r+b") as file:
        for page in range(5, 60):
            file.seek(page * 4096)
            file.write(b"\x5a" * 4096)
    done = manage(data, "backup", str(tmp_path / "mine.tar.gz"))
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert not (tmp_path / "mine.tar.gz").exists()


# What is refused


def cut(archive: Path) -> None:
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) // 2])


def flip(archive: Path) -> None:
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 0xFF
    archive.write_bytes(content)


def text(archive: Path) -> None:
    archive.write_text("not an archive at all")


def nothing(archive: Path) -> None:
    archive.write_bytes(b"")


def repacked(change: Callable[[dict[str, Any], list[tuple[str, bytes]]], None]) -> Callable[[Path], None]:
    def spoil(archive: Path) -> None:
        with tarfile.open(archive) as tar:
            members = [(member.name, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]
        told = json.loads(members.pop()[1])
        change(told, members)
        with tarfile.open(archive, "w:gz") as tar:
            for name, content in [*members, (MANIFEST, json.dumps(told).encode())]:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))

    return spoil


def another_file(told: dict[str, Any], members: list[tuple[str, bytes]]) -> None:
    members[0] = (members[0][0], b"x" + members[0][1][1:])


def newer(told: dict[str, Any], members: list[tuple[str, bytes]]) -> None:
    told["migrations"].append("executions.9999_of_next_year")


def much_newer(told: dict[str, Any], members: list[tuple[str, bytes]]) -> None:
    told["format"] = 99


def of_postgresql(told: dict[str, Any], members: list[tuple[str, bytes]]) -> None:
    told["database"] = "postgresql"


def outside(told: dict[str, Any], members: list[tuple[str, bytes]]) -> None:
    members.append(("../outside", b"mine"))


def no_manifest(archive: Path) -> None:
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("db.sqlite3"), io.BytesIO())


def a_link(archive: Path) -> None:
    with tarfile.open(archive, "w:gz") as tar:
        info = tarfile.TarInfo("secret_key")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)


def a_bomb_of_nothing(archive: Path) -> None:
    archive.write_bytes(gzip.compress(b""))


SPOILT: dict[str, tuple[Callable[[Path], None], str]] = {
    "cut": (cut, "damaged"),
    "a bit flipped": (flip, "damaged"),
    "text": (text, "damaged, or it is no backup"),
    "empty": (nothing, "no backup"),
    "nothing packed": (a_bomb_of_nothing, "no backup"),
    "another file": (repacked(another_file), "damaged"),
    "newer": (repacked(newer), "newer Stepstream"),
    "much newer": (repacked(much_newer), "newer Stepstream"),
    "of PostgreSQL": (repacked(of_postgresql), "postgresql"),
    "a file outside": (repacked(outside), "no backup of Stepstream"),
    "no manifest": (no_manifest, "manifest"),
    "a link": (a_link, "no backup of Stepstream"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_what_cannot_be_trusted_is_refused_and_nothing_changes(data: Path, archive: Path, how: str) -> None:
    spoil, words = SPOILT[how]
    spoil(archive)
    before = tree(data)
    done = manage(data, "restore", str(archive))
    assert done.returncode == 1 and words in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert tree(data) == before
    assert not list(data.glob("restore-*")) and not list(data.glob("before-*"))
    assert not (data.parent / "outside").exists()


def packed(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content) if content else None)
    return buffer.getvalue()


def member(name: str, content: bytes = b"", size: int | None = None, kind: bytes = tarfile.REGTYPE) -> Any:
    info = tarfile.TarInfo(name)
    info.size, info.type = len(content) if size is None else size, kind
    return info, content


def manifest(**told: Any) -> Any:
    whole = {"format": 1, "made_at": "x", "version": "1", "database": "sqlite", "migrations": [], "files": {}, **told}
    return member(MANIFEST, json.dumps(whole).encode())


FORGED = {
    "a deep manifest": packed(member(MANIFEST, b"[" * 100_000)),
    "a manifest of digits": packed(member(MANIFEST, b'{"format": ' + b"9" * 5_000 + b"}")),
    "files that are numbers": packed(member("a", b"1"), manifest(files={"a": 1})),
    "files that are null": packed(member("a", b"1"), manifest(files={"a": None})),
    "files that are text": packed(member("a", b"1"), manifest(files={"a": "bytes"})),
    "migrations that are lists": packed(member("db.sqlite3"), manifest(migrations=[[1], {}])),
    "more than the disk holds": gzip.compress(member("blobs/1/x", size=2**60)[0].tobuf(tarfile.GNU_FORMAT)),
    "a pipe": packed(member("db.sqlite3", kind=tarfile.FIFOTYPE)),
    "a device": packed(member("db.sqlite3", kind=tarfile.CHRTYPE)),
    "a file as a folder": packed(member("blobs", b"1"), member("blobs/1", b"2"), manifest()),
}


@pytest.mark.parametrize("how", FORGED)
def test_what_somebody_has_forged_is_refused_and_leaves_nothing(tmp_path: Path, how: str) -> None:
    data, archive = tmp_path / "var", tmp_path / "forged.tar.gz"
    data.mkdir()
    archive.write_bytes(FORGED[how])
    with pytest.raises((BadArchive, OSError)):
        restoring.unpack(archive, data, "sqlite", set())
    assert not list(data.iterdir())


def test_a_file_that_is_not_there_is_named(data: Path, tmp_path: Path) -> None:
    done = manage(data, "restore", str(tmp_path / "nowhere.tar.gz"))
    assert done.returncode == 1 and "nowhere.tar.gz was not restored: No such file" in done.stderr


def test_a_running_server_keeps_its_data(data: Path, archive: Path) -> None:
    before = tree(data)
    with held(data, "") as lock:
        lock.say("http://127.0.0.1:8113")
        done = manage(data, "restore", str(archive))
    assert done.returncode == 1 and "already running at http://127.0.0.1:8113: stop it first" in done.stderr
    assert tree(data) == before


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../up", "a/../../b", "a//b", "./a", "a\0b", "a/" * 30 + "b"])
def test_names_that_lead_elsewhere_are_not_safe(name: str) -> None:
    assert not is_safe(name)


def test_names_of_ours_are_safe() -> None:
    assert is_safe("db.sqlite3") and is_safe(f"blobs/12/{'a' * 64}")


# Killed in the middle


def test_a_backup_that_is_killed_leaves_no_file_of_its_name(data: Path, tmp_path: Path) -> None:
    (data / "blobs" / "13").mkdir()
    (data / "blobs" / "13" / ("b" * 64)).write_bytes(os.urandom(60_000_000))
    env = {"PATH": os.environ["PATH"], "DATA_DIR": str(data), "DEBUG": "1"}
    file = tmp_path / "killed.tar.gz"
    process = subprocess.Popen([sys.executable, str(ROOT / "manage.py"), "backup", str(file)], env=env)
    new = tmp_path / ".new-killed.tar.gz"
    while process.poll() is None and not (new.exists() and new.stat().st_size > 1_000_000):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not file.exists() and notes(data) == ["first"]
    assert manage(data, "backup", str(file)).returncode == 0


class Killed(BaseException):
    pass


@pytest.mark.parametrize("moves", (0, 2, 4, 6, 8))
def test_a_restore_that_is_killed_at_any_move_is_finished_by_the_next_start(
    data: Path, archive: Path, moves: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the decision; before it nothing has changed."""
    write(data, "second")
    (data / "media").mkdir()
    (data / "media" / "old").write_text("old")
    left, move = [moves], shutil.move

    def dying(*args: Any, **how: Any) -> Any:
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        return move(*args, **how)

    known = set(read(archive).migrations)
    restoring.unpack(archive, data, "sqlite", known)
    assert notes(data) == ["first", "second"]
    monkeypatch.setattr(shutil, "move", dying)
    try:
        restoring.finish(data, data / "db.sqlite3")
    except Killed:
        monkeypatch.setattr(shutil, "move", move)
        assert restoring.finish(data, data / "db.sqlite3") is not None
    monkeypatch.undo()
    assert notes(data) == ["first"]
    (aside,) = data.glob("before-restore-*")
    assert notes(aside) == ["first", "second"] and (aside / "media" / "old").read_text() == "old"
    assert restoring.finish(data, data / "db.sqlite3") is None
    assert not list(data.glob("restore-*"))


def test_the_next_start_finishes_a_restore_and_asks_for_another(data: Path, archive: Path) -> None:
    write(data, "second")
    restoring.unpack(archive, data, "sqlite", set(read(archive).migrations))
    done = manage(data, "prepare")
    assert done.returncode == 1 and "Start once more" in done.stderr and "is done now" in done.stdout
    assert notes(data) == ["first"]
    assert manage(data, "prepare").returncode == 0


# Before a migration


def test_the_database_is_copied_before_an_update_and_three_copies_stay(data: Path) -> None:
    for _ in range(5):
        assert manage(data, "migrate", "sessions", "zero").returncode == 0
        done = manage(data, "prepare")
        assert done.returncode == 0 and "The database as it was:" in done.stdout, done.stderr
    copies = sorted((data / "backups").glob("before-migration-*.sqlite3"))
    assert len(copies) == 3
    snapshot.check(copies[-1])
    connection = sqlite3.connect(copies[-1])
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    connection.close()
    assert "note" in tables and "django_session" not in tables


def test_a_new_database_and_one_that_is_up_to_date_are_not_copied(data: Path) -> None:
    assert "as it was" not in manage(data, "prepare").stdout
    assert not (data / "backups").exists()


def test_without_room_the_database_is_not_touched(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=1024))
    with pytest.raises(snapshot.NoRoom, match="MiB are needed"):
        snapshot.take_before_migration(data / "db.sqlite3", data / "backups")
    assert not list((data / "backups").glob("*"))


def test_what_is_gone_by_the_time_it_is_packed_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "here").write_text("here")
    facts = {"version": "0", "database": "sqlite", "migrations": []}
    manifest = pack(tmp_path / "a.tar.gz", {"a": tmp_path / "here", "b": tmp_path / "gone"}, facts)
    assert list(manifest.files) == ["a"]
    with pytest.raises(BadArchive):
        read(tmp_path / "here")


def test_a_link_is_not_packed_with_what_it_leads_to(data: Path, tmp_path: Path) -> None:
    (tmp_path / "private").write_text("of somebody else")
    (data / "files" / "3" / "link.txt").symlink_to(tmp_path / "private")

    assert "files/3/reports/2026 ü.csv" in data_files(data)
    assert "files/3/link.txt" not in data_files(data)
