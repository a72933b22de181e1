"""Whether the keys of the secrets are the right ones: asked before anything is served, and not at noon by a step."""

from __future__ import annotations

from django.conf import settings

from workflows.errors import VaultError
from workflows.models import Canary, Secret
from workflows.secrets import key_file
from workflows.secrets.vault import Vault, key_id, vault
from workflows.secrets.vault import key_file as file_of_keys

ADVICE = (
    "Put back the keys with which the secrets of this database were encrypted, in {place}; they were kept apart from "
    "the backups. Where they are lost for good, `manage.py rotate_keys --start-over` makes a new one: names and hosts "
    "of the secrets stay, their values have to be typed in again."
)


def make_ready() -> Vault:
    """The keys, made and marked at the very first start. Raises VaultError with what is wrong and what to do."""
    canary, secret = Canary.objects.first(), Secret.objects.sealed().first()
    if not settings.MASTER_KEYS and not file_of_keys().exists() and canary is None and secret is None:
        key_file.make(file_of_keys())
    try:
        keys = vault()
        if canary:
            canary.require(keys)
        elif secret:
            secret.reveal()
    except VaultError as error:
        raise VaultError(f"{error.message} {ADVICE.format(place=place())}") from None
    if canary is None:
        Canary.put(keys)
    return keys


def place() -> str:
    """Where the keys are, as one says it."""
    return "MASTER_KEYS" if settings.MASTER_KEYS else f"{file_of_keys()} or MASTER_KEYS"


def used() -> set[str]:
    """The ids of all keys that something needs."""
    sealed = [
        *Canary.objects.values_list("ciphertext", flat=True),
        *Secret.objects.sealed().values_list("ciphertext", flat=True),
    ]
    return {key_id(text) for text in sealed}
