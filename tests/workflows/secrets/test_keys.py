"""The keys of an installation: made at the first start, refused where they are wrong, renewed by a command."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db.models import ProtectedError

from workflows.errors import VaultError
from workflows.models import Canary, Secret
from workflows.secrets import key_check, key_file, rotation
from workflows.secrets.vault import Key, key_id, vault
from workflowsite import checks

pytestmark = pytest.mark.django_db

OLD, NEW = Key(b"o" * 32), Key(b"n" * 32)


@pytest.fixture
def file(settings: Any) -> Path:
    """Keys come from the data folder's file."""
    settings.MASTER_KEYS = ""
    return Path(settings.DATA_DIR) / "master.key"


def secrets_of(user: User, count: int = 1) -> list[Secret]:
    return [Secret.objects.make(user, f"KEY_{n}", f"value {n}", ["*"]) for n in range(count)]


def values() -> list[str]:
    return [secret.reveal() for secret in Secret.objects.order_by("pk")]


def rotate(*words: str) -> str:
    out = StringIO()
    call_command("rotate_keys", *words, stdout=out)
    return out.getvalue()


def test_the_first_start_makes_a_key_and_a_canary(file: Path) -> None:
    key_check.make_ready()
    first = file.read_bytes()
    key_check.make_ready()
    assert file.read_bytes() == first
    assert Canary.objects.count() == 1


def test_another_key_is_refused_with_what_to_do(file: Path, alice: User) -> None:
    key_check.make_ready()
    key_file.write(file, [NEW])
    with pytest.raises(VaultError, match=r"not among the master keys\. Put back the keys .*master\.key.*--start-over"):
        key_check.make_ready()


def test_a_lost_key_is_not_replaced_in_silence(file: Path, alice: User) -> None:
    key_check.make_ready()
    secrets_of(alice)
    file.unlink()
    with pytest.raises(VaultError, match="No such file"):
        key_check.make_ready()
    assert not file.exists()


def test_without_a_canary_a_secret_shows_whether_the_key_is_right(file: Path, alice: User) -> None:
    key_check.make_ready()
    secrets_of(alice)
    Canary.objects.all().delete()
    kept = file.read_bytes()
    key_file.write(file, [NEW])
    with pytest.raises(VaultError):
        key_check.make_ready()
    file.unlink()
    with pytest.raises(VaultError):
        key_check.make_ready()
    file.write_bytes(kept)
    key_check.make_ready()
    assert Canary.objects.count() == 1


def test_the_environments_keys_need_no_file(settings: Any, alice: User) -> None:
    settings.MASTER_KEYS = OLD.text
    key_check.make_ready()
    assert not (Path(settings.DATA_DIR) / "master.key").exists()
    settings.MASTER_KEYS = NEW.text
    with pytest.raises(VaultError, match="in MASTER_KEYS; they were kept"):
        key_check.make_ready()


def test_a_rotation_adds_a_key_and_encrypts_everything_anew(file: Path, alice: User) -> None:
    old = key_check.make_ready().first
    secrets_of(alice, 250)
    said = rotate()
    assert "250 secrets" in said and old.id in said
    first, second = vault().keys
    assert second == old and first != old
    assert key_check.used() == {first.id}
    assert values() == [f"value {n}" for n in range(250)]


def test_old_keys_go_only_when_nothing_needs_them(file: Path, alice: User) -> None:
    old = key_check.make_ready().first
    secrets_of(alice)
    assert "Every key is needed" in rotate("--drop")
    rotate()
    assert f"Removed {old.id}" in rotate("--drop")
    assert len(vault().keys) == 1 and values() == ["value 0"]
    key_check.make_ready()


def test_a_rotation_that_was_killed_goes_on_with_the_same_key(
    file: Path, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_check.make_ready()
    secrets_of(alice, 3)
    reseal = Secret.reseal

    def dying(secret: Secret, keys: Any) -> bool:
        if secret.name == "KEY_1":
            raise KeyboardInterrupt
        return reseal(secret, keys)

    monkeypatch.setattr(Secret, "reseal", dying)
    with pytest.raises(KeyboardInterrupt):
        rotate()
    monkeypatch.undo()
    assert values() == ["value 0", "value 1", "value 2"]
    key_check.make_ready()
    assert "2 secrets" in rotate()
    assert len(vault().keys) == 2 and key_check.used() == {vault().first.id}


def test_a_value_that_is_replaced_meanwhile_wins(file: Path, alice: User) -> None:
    key_check.make_ready()
    [secret] = secrets_of(alice)
    key_file.write(file, [NEW, *vault().keys])
    Secret.objects.get(pk=secret.pk).replace("another value", alice)
    assert not secret.reseal(vault())
    assert values() == ["another value"]


def test_a_secret_whose_key_is_lost_is_named_and_the_others_are_done(file: Path, alice: User) -> None:
    key_check.make_ready()
    secrets_of(alice, 2)
    lost = Secret.objects.get(name="KEY_0")
    Secret.objects.filter(pk=lost.pk).update(ciphertext=lost.ciphertext.replace(key_id(lost.ciphertext), OLD.id))
    with pytest.raises(CommandError, match="The key of these is not here: alice's KEY_0"):
        rotate()
    assert Secret.objects.get(name="KEY_1").reveal() == "value 1"


def test_with_the_environments_keys_the_first_is_the_new_one(settings: Any, alice: User) -> None:
    settings.MASTER_KEYS = OLD.text
    key_check.make_ready()
    secrets_of(alice)
    with pytest.raises(CommandError, match="MASTER_KEYS holds one key: put a new one in front"):
        rotate()
    settings.MASTER_KEYS = f"{NEW.text},{OLD.text}"
    assert "1 secret." in rotate()
    assert "Take these out of MASTER_KEYS, counted from the front: 2" in rotate("--drop")
    settings.MASTER_KEYS = NEW.text
    key_check.make_ready()
    assert values() == ["value 0"]


def test_a_new_key_is_printed_and_nothing_changes(settings: Any) -> None:
    printed = rotate("--new").strip()
    settings.MASTER_KEYS = printed
    assert len(vault().keys) == 1 and Canary.objects.count() == 0


def test_where_the_keys_are_lost_one_starts_over_with_names_and_hosts(file: Path, alice: User) -> None:
    key_check.make_ready()
    secrets_of(alice, 2)
    file.unlink()
    assert "2 secrets without a value" in rotate("--start-over")
    secret = Secret.objects.get(name="KEY_0")
    assert secret.is_empty and secret.hosts == ["*"]
    with pytest.raises(VaultError, match="has no value any more"):
        secret.reveal()
    secret.replace("again a value", alice)
    assert Secret.objects.get(name="KEY_0").reveal() == "again a value"
    key_check.make_ready()
    rotate()


def test_a_key_that_is_none_is_said_at_the_start_of_every_command(settings: Any, file: Path) -> None:
    assert checks.keys_can_be_read(None) == []
    file.write_text("hunter2")
    file.chmod(0o600)
    assert [found.id for found in checks.keys_can_be_read(None)] == ["site.E004"]
    key_file.write(file, [NEW])
    assert checks.keys_can_be_read(None) == []
    file.chmod(0o644)
    assert [found.id for found in checks.keys_can_be_read(None)] == ["site.W001"]
    settings.MASTER_KEYS = "hunter2"
    [found] = checks.keys_can_be_read(None)
    assert found.id == "site.E004" and "hunter2" not in f"{found.msg}{found.hint}"


def test_rows_cannot_be_swapped(alice: User, bob: User) -> None:
    """Somebody who can write to the database still cannot make one secret pass for another."""
    one, two = secrets_of(alice, 2)
    of_bob = Secret.objects.make(bob, "KEY_0", "bob's value", ["*"])
    before = one.ciphertext
    for other in (two, of_bob):
        Secret.objects.filter(pk=one.pk).update(ciphertext=other.ciphertext)
        with pytest.raises(VaultError, match="does not belong"):
            Secret.objects.get(pk=one.pk).reveal()
    one.refresh_from_db()
    one.ciphertext = before
    one.replace("a newer value", alice)
    Secret.objects.filter(pk=one.pk).update(ciphertext=before)
    with pytest.raises(VaultError):
        Secret.objects.get(pk=one.pk).reveal()


def test_what_needs_another_key_counts_as_under_way(file: Path, alice: User) -> None:
    keys = key_check.make_ready()
    secrets_of(alice)
    assert not rotation.is_under_way(keys)
    key_file.write(file, [NEW, *keys.keys])
    assert rotation.is_under_way(vault())


def test_of_two_who_replace_a_value_at_once_the_last_counts_and_it_can_be_read(alice: User, bob: User) -> None:
    secrets_of(alice)
    first, second = Secret.objects.get(), Secret.objects.get()
    first.replace("of the first", alice)
    second.replace("of the second", bob)
    kept = Secret.objects.get()
    assert (kept.reveal(), kept.version, kept.updated_by) == ("of the second", 3, bob)
    assert second.reveal() == "of the second"


def test_a_person_who_has_secrets_cannot_be_deleted_with_them(alice: User) -> None:
    secrets_of(alice)
    with pytest.raises(ProtectedError):
        alice.delete()
    assert values() == ["value 0"]
