"""The data folder: made once, with its layout, and held by one process at a time."""

import sqlite3
import stat
from pathlib import Path

import pytest

from workflowsite.data_folder import FolderInUse, held
from workflowsite.database import lay_out, needs_layout


def test_a_new_database_file_gets_what_cannot_be_changed_later(tmp_path: Path) -> None:
    file = tmp_path / "db.sqlite3"
    assert needs_layout(file)
    lay_out(file)
    assert not needs_layout(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE first (id)")
        pragmas = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "auto_vacuum")}
    assert pragmas == {"journal_mode": "wal", "auto_vacuum": 2}


def test_one_process_holds_the_folder(tmp_path: Path) -> None:
    with held(tmp_path, "") as lock:
        lock.say("http://127.0.0.1:8000")
        with pytest.raises(FolderInUse, match="already running at http://127.0.0.1:8000"), held(tmp_path, ""):
            pass
    with held(tmp_path, ""):
        pass


def test_the_folder_is_its_owners_alone(tmp_path: Path) -> None:
    with held(tmp_path / "var", ""):
        assert stat.S_IMODE((tmp_path / "var").stat().st_mode) == 0o700
