"""Everything under the first key: row by row, each as a whole, so that a kill in between costs nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import or_

from django.db.models import Q

from workflows.errors import VaultError
from workflows.models import Canary, Secret
from workflows.models.secret import SecretQuerySet
from workflows.secrets.vault import FORM, Vault


@dataclass(frozen=True, slots=True)
class Rotated:
    """`lost`: names of secrets whose key is not here."""

    done: int
    lost: tuple[str, ...]


def rotate(keys: Vault) -> Rotated:
    """What is under another key is encrypted anew. A secret that somebody replaces meanwhile is looked at again."""
    done, lost = 0, dict[int, str]()
    Canary.put(keys)
    while waiting := list(_under_others(keys).exclude(pk__in=lost)[:100]):
        for secret in waiting:
            try:
                done += secret.reseal(keys)
            except VaultError:
                lost[secret.pk] = f"{secret.owner.get_username()}'s {secret.name}"
    return Rotated(done, tuple(lost.values()))


def is_under_way(keys: Vault) -> bool:
    """Whether an earlier rotation has not come to its end: something is under an older one of these keys."""
    older = [Q(ciphertext__startswith=f"{FORM}.{key.id}.") for key in keys.keys[1:]]
    return bool(older) and Secret.objects.filter(reduce(or_, older)).exists()


def start_over() -> int:
    """Without any value: for keys that are lost. How many secrets are empty now."""
    Canary.objects.all().delete()
    return Secret.objects.sealed().update(ciphertext="")


def without(keys: Vault, used: Iterable[str]) -> tuple[Vault, list[str]]:
    """The keys that something needs, the first one in any case, and the ids of the others."""
    needed = {keys.first.id, *used}
    return Vault(tuple(key for key in keys.keys if key.id in needed)), [
        key.id for key in keys.keys if key.id not in needed
    ]


def _under_others(keys: Vault) -> SecretQuerySet:
    return Secret.objects.sealed().exclude(ciphertext__startswith=f"{FORM}.{keys.first.id}.").select_related("owner")
