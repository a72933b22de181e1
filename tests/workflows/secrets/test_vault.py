"""Encryption: what is sealed opens with its key and in its place alone; keys that are wrong are named."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from workflows.errors import VaultError
from workflows.secrets import key_file
from workflows.secrets.vault import Key, Vault, key_id, new_key, vault

OLD, NEW = Key(b"o" * 32), Key(b"n" * 32)


def test_what_is_sealed_opens_again_and_never_looks_the_same() -> None:
    keys = Vault((NEW,))
    for text in ("abcdef", "ü\U0001f511\n" * 1000, ""):
        one, two = keys.seal(text, "here"), keys.seal(text, "here")
        assert one != two and keys.unseal(one, "here") == keys.unseal(two, "here") == text
    assert "abcdef" not in keys.seal("abcdef", "here")


def test_it_opens_in_its_place_alone() -> None:
    sealed = Vault((NEW,)).seal("abcdef", "secret:1:1:KEY:1")
    for other in ("secret:2:1:KEY:1", "secret:1:2:KEY:1", "secret:1:1:KEY:2", ""):
        with pytest.raises(VaultError, match="was changed, or was put where it does not belong"):
            Vault((NEW,)).unseal(sealed, other)


def test_a_changed_text_does_not_open() -> None:
    sealed = Vault((NEW,)).seal("abcdef", "here")
    head, _, body = sealed.rpartition(".")
    raw = bytearray(base64.b64decode(body))
    for place in range(0, len(raw), 5):
        changed = bytes(byte ^ (1 if at == place else 0) for at, byte in enumerate(raw))
        with pytest.raises(VaultError):
            Vault((NEW,)).unseal(f"{head}.{base64.b64encode(changed).decode()}", "here")
    for odd in ("", "1", "1..", f"1.{NEW.id}.", f"1.{NEW.id}.!", f"2.{NEW.id}.{body}", f"1.{NEW.id}.{body[:20]}", "ü"):
        with pytest.raises(VaultError):
            Vault((NEW,)).unseal(odd, "here")


def test_the_first_key_encrypts_and_all_decrypt() -> None:
    sealed = Vault((OLD,)).seal("abcdef", "here")
    both = Vault((NEW, OLD))
    assert both.unseal(sealed, "here") == "abcdef"
    assert key_id(sealed) == OLD.id and key_id(both.seal("abcdef", "here")) == NEW.id
    with pytest.raises(VaultError, match=f"The key {OLD.id} is not among the master keys"):
        Vault((NEW,)).unseal(sealed, "here")


def test_a_key_is_not_told_by_its_id_or_its_words() -> None:
    assert NEW.id != OLD.id and len(NEW.id) == 16
    assert "nnnn" not in repr(NEW) and NEW.text not in repr(Vault((NEW,)))


def test_keys_are_read_from_the_setting_with_commas_lines_and_either_alphabet(settings: Any) -> None:
    odd = Key(b"\xfb\xff" * 16)
    urlsafe = odd.text.replace("+", "-").replace("/", "_")
    settings.MASTER_KEYS = f" {NEW.text}, {OLD.text}\n{urlsafe}  # the oldest\n"
    assert [key.id for key in vault().keys] == [NEW.id, OLD.id, odd.id]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("hunter2", "MASTER_KEYS: key 1 is not 32 bytes as base64"),
        (f"{NEW.text},short", "MASTER_KEYS: key 2 is not"),
        (base64.b64encode(b"x" * 16).decode(), "key 1 is not 32 bytes"),
        ("# nothing", "MASTER_KEYS holds no key"),
        ("ключ", "key 1 is not"),
    ],
)
def test_a_key_that_is_none_is_named_by_its_place_and_not_shown(settings: Any, text: str, why: str) -> None:
    settings.MASTER_KEYS = text
    with pytest.raises(VaultError, match=why) as refused:
        vault()
    assert text not in refused.value.message


def test_the_file_is_made_once_and_for_its_owner_alone(settings: Any) -> None:
    settings.MASTER_KEYS, file = "", Path(settings.DATA_DIR) / "master.key"
    key_file.make(file)
    first = file.read_bytes()
    key_file.make(file)
    assert file.read_bytes() == first and len(vault().keys) == 1
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["master.key"]


def test_a_file_that_changes_is_read_again(settings: Any) -> None:
    settings.MASTER_KEYS, file = "", Path(settings.DATA_DIR) / "master.key"
    key_file.write(file, [OLD])
    assert vault().first.id == OLD.id
    key_file.write(file, [NEW, OLD])
    assert [key.id for key in vault().keys] == [NEW.id, OLD.id]


def test_a_file_that_is_not_there_or_no_text_is_named(settings: Any) -> None:
    settings.MASTER_KEYS, file = "", Path(settings.DATA_DIR) / "master.key"
    with pytest.raises(VaultError, match=r"master\.key, cannot be read: No such file"):
        vault()
    file.write_bytes(os.urandom(64) + b"\xff")
    with pytest.raises(VaultError, match="cannot be read as text"):
        vault()


def test_new_keys_differ() -> None:
    assert new_key().id != new_key().id
