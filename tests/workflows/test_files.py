"""The files of a workflow on a real disk: its own area and nothing else, whole or not at all, with limits."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from workflows import files
from workflows.errors import WorkflowStepError
from workflows.filenames import FileError, NoFile, path_of
from workflows.files import Area, area
from workflows.steps.base import Files


@pytest.fixture
def mine() -> Area:
    return area(7)


def folder(settings: Any) -> Path:
    return Path(settings.DATA_DIR) / "files" / "7"


def test_what_is_saved_can_be_read_and_is_named_by_a_reference(mine: Area, settings: Any) -> None:
    reference = mine.save("reports/2026.csv", b"a,b\n")
    assert reference == {"file": "reports/2026.csv", "name": "2026.csv", "size": 4, "content_type": "text/csv"}
    assert mine.read(path_of(reference)) == b"a,b\n"
    assert (folder(settings) / "reports" / "2026.csv").read_bytes() == b"a,b\n"


def test_an_area_is_what_steps_are_given(mine: Area) -> None:
    as_given: Files = mine
    assert as_given.paths() == []


def test_a_second_save_replaces_the_first_on_purpose(mine: Area) -> None:
    mine.save("a", b"long before")
    assert mine.save("a", b"now")["size"] == 3
    assert mine.read("a") == b"now" and mine.paths() == ["a"]


def test_one_workflow_does_not_see_the_files_of_another(mine: Area) -> None:
    area(8).save("theirs.txt", b"secret")
    assert mine.paths() == []
    for path in ("../8/theirs.txt", "a/../../8/theirs.txt", "theirs.txt"):
        with pytest.raises(FileError):
            mine.read(path)


HOSTILE = [
    *("", " ", "/etc/passwd", "..", "../8/x", "a/../b", "a//b", "a/", "./a", ".hidden", "a/.git/config", "a\\b"),
    *("..\\..\\x", "a\0b", "a\nb", "a\x7f", "\ud800", "a/ b", "b /a", "C:\\x", "/".join("abcdefghi"), "x" * 256),
    *("ü" * 128, "/".join(["x" * 250] * 5), "~/../x", ".new-abc", "a/..", "\u2028/../x"),
]


@pytest.mark.parametrize("path", HOSTILE, ids=repr)
def test_a_path_that_is_none_is_refused_everywhere(mine: Area, path: str) -> None:
    mine.save("there", b"")
    for act in (
        lambda: mine.read(path),
        lambda: mine.save(path, b"x"),
        lambda: mine.append(path, b"x"),
        lambda: mine.remove(path),
        lambda: mine.copy("there", path),
        lambda: mine.move("there", path),
        lambda: mine.move(path, "there"),
    ):
        with pytest.raises(FileError) as caught:
            act()
        assert caught.value.is_permanent and "\0" not in caught.value.message
    assert mine.paths() == ["there"]


@pytest.mark.parametrize("path", ["ü.txt", "a b.txt", "a:b", "日本/語.csv", "x" * 255, "a/b/c/d/e/f/g/h", "-r", "%2e"])
def test_odd_but_harmless_names_are_kept(mine: Area, path: str) -> None:
    mine.save(path, b"x")
    assert mine.paths() == [path] and mine.read(path) == b"x"


def test_a_name_is_one_name_however_its_letters_are_composed(mine: Area) -> None:
    mine.save("u\u0308.txt", b"x")
    assert mine.read("\u00fc.txt") == b"x"


@pytest.mark.parametrize("value", [None, 3, [], {}, {"file": 3}, {"name": "a"}, True])
def test_what_is_no_file_is_refused_as_one(value: Any) -> None:
    with pytest.raises(FileError, match="A file is a path"):
        path_of(value)


def test_no_link_is_followed(mine: Area, settings: Any, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    mine.save("there", b"")
    (folder(settings) / "link").symlink_to(tmp_path / "outside")
    (folder(settings) / "file").symlink_to(tmp_path / "outside" / "secret")
    for act in (
        lambda: mine.read("link/secret"),
        lambda: mine.read("file"),
        lambda: mine.save("link/new", b""),
        lambda: mine.save("file", b""),
        lambda: mine.remove("link/secret"),
        lambda: mine.move("there", "link/x"),
        lambda: mine.paths("link"),
    ):
        with pytest.raises(FileError, match="leads through a link"):
            act()
    assert mine.paths() == ["there"]
    assert (tmp_path / "outside" / "secret").read_text() == "secret"


def test_an_area_that_is_a_link_is_not_used(settings: Any, tmp_path: Path) -> None:
    (Path(settings.DATA_DIR) / "files").mkdir()
    folder(settings).symlink_to(tmp_path)
    with pytest.raises(FileError, match="leads through a link"):
        area(7).save("a", b"")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_too_large_is_refused(mine: Area, settings: Any) -> None:
    settings.FILES = {**settings.FILES, "FILE_BYTES": 10}
    mine.save("a", b"x" * 10)
    for act in (lambda: mine.save("b", b"x" * 11), lambda: mine.append("a", b"x")):
        with pytest.raises(FileError, match="would have 11 bytes; a file may have 10"):
            act()
    assert mine.paths() == ["a"] and mine.read("a") == b"x" * 10


def test_a_file_that_somebody_else_made_too_large_is_not_read(mine: Area, settings: Any) -> None:
    settings.FILES = {**settings.FILES, "FILE_BYTES": 10}
    mine.save("a", b"")
    (folder(settings) / "a").write_bytes(b"x" * 11)
    with pytest.raises(FileError, match="at most 10 are read"):
        mine.read("a")


def test_a_workflows_files_have_a_quota_and_replacing_one_counts_once(mine: Area, settings: Any) -> None:
    settings.FILES = {**settings.FILES, "WORKFLOW_BYTES": 10}
    mine.save("a", b"x" * 8)
    mine.save("a", b"x" * 10)
    with pytest.raises(FileError, match="would have 11 bytes, and 10 are allowed"):
        mine.save("b", b"x")
    area(8).save("b", b"x")
    mine.remove("a")
    mine.save("b", b"x")


def test_a_workflow_has_only_so_many_files(mine: Area, settings: Any) -> None:
    settings.FILES = {**settings.FILES, "MOST": 2}
    mine.save("a", b"")
    mine.save("b", b"")
    mine.save("b", b"again")
    with pytest.raises(FileError, match="has 2 files, and may have no more"):
        mine.save("c", b"")


def test_threads_that_append_at_the_same_time_lose_nothing(mine: Area) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: area(7).append("log.txt", b"%04d\n" % n), range(80)))
    assert sorted(mine.read("log.txt").split()) == [b"%04d" % n for n in range(80)]


def test_what_a_killed_process_left_half_written_is_no_file(mine: Area, settings: Any) -> None:
    mine.save("a", b"whole")
    (folder(settings) / ".new-abc").write_bytes(b"ha")
    assert mine.paths() == ["a"]
    mine.forget()
    assert not folder(settings).exists()


def test_copy_move_and_remove(mine: Area, settings: Any) -> None:
    mine.save("in/a.txt", b"a")
    assert mine.copy("in/a.txt", "b.txt")["file"] == "b.txt"
    assert mine.move("in/a.txt", "done/a.txt")["size"] == 1
    assert mine.paths() == ["b.txt", "done/a.txt"]
    assert not (folder(settings) / "in").exists()  # folders go with what was in them
    mine.remove("b.txt")
    for act in (lambda: mine.remove("b.txt"), lambda: mine.move("b.txt", "c"), lambda: mine.copy("b.txt", "c")):
        with pytest.raises(NoFile, match="There is no file “b.txt”"):
            act()


def test_folders_and_files_are_kept_apart(mine: Area) -> None:
    mine.save("a/b", b"")
    mine.save("c", b"")
    for act in (
        lambda: mine.read("a"),
        lambda: mine.save("a", b""),
        lambda: mine.remove("a"),
        lambda: mine.move("c", "a"),
        lambda: mine.save("c/d", b""),
        lambda: mine.move("c", "a/b/d"),
    ):
        with pytest.raises(FileError):
            act()
    assert mine.paths() == ["a/b", "c"]


def test_files_are_listed_below_a_folder(mine: Area) -> None:
    for path in ("a/1", "a/2/3", "ab", "b"):
        mine.save(path, b"")
    assert mine.paths("a") == mine.paths("a/") == ["a/1", "a/2/3"]
    assert mine.paths("nowhere") == mine.paths("b") == []
    with pytest.raises(FileError):
        mine.paths("../8")


def test_a_content_type_that_is_told_is_kept_and_an_odd_one_is_not(mine: Area) -> None:
    assert mine.save("a", b"", "text/html; charset=utf-8")["content_type"] == "text/html; charset=utf-8"
    for odd in ("", "text/html\r\nX: y", "nonsense", "a/" + "b" * 200):
        assert mine.save("a.json", b"", odd)["content_type"] == "application/json"
    assert mine.save("a", b"")["content_type"] == "application/octet-stream"


def test_content_that_is_no_bytes_is_refused(mine: Area) -> None:
    with pytest.raises(FileError, match="is bytes, not str"):
        mine.save("a", "text")  # type: ignore[arg-type]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_said_and_may_be_tried_again(mine: Area, settings: Any) -> None:
    mine.save("a/b", b"")
    (folder(settings) / "a").chmod(0o500)
    with pytest.raises(WorkflowStepError, match="could not be used: Permission denied") as caught:
        mine.save("a/c", b"")
    assert not caught.value.is_permanent


def test_the_areas_of_workflows_that_are_gone_are_deleted(mine: Area, settings: Any) -> None:
    mine.save("a/b", b"")
    area(8).save("a", b"")
    assert files.forget_orphans(lambda ids: {7} & set(ids)) == 1
    assert mine.paths() == ["a/b"] and not (Path(settings.DATA_DIR) / "files" / "8").exists()
    assert files.forget_orphans(set) == 0
