"""The key of the secrets in the life of an installation: its first start, backups, another key, another environment."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.site.test_backup import ROOT, manage
from workflows.secrets.vault import Key
from workflowsite.archive import read

KEY, OTHER = Key(b"k" * 32).text, Key(b"o" * 32).text


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("site") / "var"
    done = manage(data, "prepare")
    assert done.returncode == 0, done.stderr
    return data


@pytest.fixture
def data(prepared: Path, tmp_path: Path) -> Path:
    shutil.copytree(prepared, tmp_path / "var")
    return tmp_path / "var"


def test_the_first_start_makes_the_key_and_the_next_keeps_it(prepared: Path) -> None:
    key = prepared / "master.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_bytes()
    assert manage(prepared, "prepare").returncode == 0
    assert key.read_bytes() == before


def test_a_start_with_another_key_or_none_is_refused_and_says_what_to_do(data: Path) -> None:
    wrong = manage(data, "prepare", MASTER_KEYS=OTHER)
    assert wrong.returncode == 1 and OTHER not in wrong.stderr
    assert "is not among the master keys. Put back the keys" in wrong.stderr and "in MASTER_KEYS;" in wrong.stderr
    (data / "master.key").unlink()
    lost = manage(data, "serve", PORT="0")
    assert lost.returncode == 1 and "rotate_keys --start-over" in lost.stderr and "Traceback" not in lost.stderr
    assert not (data / "master.key").exists()
    assert manage(data, "rotate_keys", "--start-over").returncode == 0
    assert manage(data, "prepare").returncode == 0


def test_what_is_no_key_is_refused_and_not_shown(data: Path) -> None:
    done = manage(data, "prepare", MASTER_KEYS="correct horse battery staple")
    assert done.returncode == 1 and "MASTER_KEYS: key 1 is not 32 bytes as base64" in done.stderr
    assert "horse" not in done.stdout + done.stderr
    printed = manage(data, "rotate_keys", "--new", MASTER_KEYS="correct horse battery staple")
    assert printed.returncode == 0 and len(printed.stdout.strip()) == 44


def test_a_backup_has_no_key_and_a_restore_asks_for_it(data: Path, tmp_path: Path) -> None:
    file, fresh, key = tmp_path / "mine.tar.gz", tmp_path / "fresh" / "var", (data / "master.key").read_bytes()
    done = manage(data, "backup", str(file))
    assert "The key of the secrets is not in it" in done.stdout
    assert "master.key" not in read(file).files and "secret_key" in read(file).files
    fresh.parent.mkdir()
    done = manage(fresh, "restore", str(file))
    assert done.returncode == 0 and f"put it at {fresh / 'master.key'}" in done.stdout
    refused = manage(fresh, "prepare")
    assert refused.returncode == 1 and "master.key" in refused.stderr
    (fresh / "master.key").write_bytes(key)
    (fresh / "master.key").chmod(0o600)
    assert manage(fresh, "prepare").returncode == 0


def test_a_restore_leaves_the_key_that_is_there(data: Path, tmp_path: Path) -> None:
    file, key = tmp_path / "mine.tar.gz", (data / "master.key").read_bytes()
    manage(data, "backup", str(file))
    done = manage(data, "restore", str(file))
    assert done.returncode == 0 and "put it at" not in done.stdout
    assert (data / "master.key").read_bytes() == key


def test_a_backup_that_has_the_key_brings_it_back_and_keeps_the_other_aside(data: Path, tmp_path: Path) -> None:
    file, key = tmp_path / "mine.tar.gz", (data / "master.key").read_bytes()
    done = manage(data, "backup", str(file), "--with-master-key")
    assert "whoever has the file can read them" in done.stdout and file.stat().st_mode & 0o077 == 0
    (data / "master.key").write_text(OTHER)
    assert manage(data, "restore", str(file)).returncode == 0
    assert (data / "master.key").read_bytes() == key
    assert stat.S_IMODE((data / "master.key").stat().st_mode) == 0o600
    (aside,) = data.glob("before-restore-*")
    assert (aside / "master.key").read_text() == OTHER


def test_the_environments_keys_are_inherited_by_no_child(tmp_path: Path) -> None:
    program = (
        "import os, subprocess, workflowsite.settings as s; print(len(s.MASTER_KEYS), 'MASTER_KEYS' in os.environ);"
        "print(subprocess.run(['env'], capture_output=True, text=True).stdout)"
    )
    env = {"PATH": "/usr/bin:/bin", "DATA_DIR": str(tmp_path), "MASTER_KEYS": KEY}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith("44 False") and KEY not in done.stdout
