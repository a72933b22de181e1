"""A secret: a named value that is kept encrypted, shown to nobody, and sent only to the hosts that it may go to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.db.models import Q
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from workflows.errors import InputError, VaultError
from workflows.models.named import Named, NamedQuerySet, clean_name, refuse_taken, refuse_taken_in
from workflows.secrets import hosts
from workflows.secrets.vault import Vault, vault

LEAST, MOST_BYTES = 6, 64 * 1024  # a shorter one could not be hidden in texts: it would stand in many by chance
USED_EVERY = timedelta(minutes=1)


class SecretQuerySet(NamedQuerySet["Secret"]):
    def sealed(self) -> SecretQuerySet:
        return self.exclude(ciphertext="")

    @sensitive_variables("value")
    def make(
        self,
        owner: Any,
        name: str,
        value: str,
        allowed: Iterable[str],
        *,
        group: Any = None,
        description: str = "",
        by: Any = None,
    ) -> Secret:
        """Raises InputError with the field that is wrong, VaultError where the keys are not in order."""
        secret = Secret(
            name=clean_name(name, "secret"),
            owner=owner,
            group=group,
            hosts=clean_hosts(allowed),
            description=description,
            updated_by=by or owner,
        )
        clean_value(value, name)
        refuse_taken(self, name, owner, "secret")
        refuse_taken_in(self, name, group, "secret")
        try:
            with transaction.atomic():
                secret.save()
                secret.replace(value, by or owner)
        except IntegrityError:
            raise InputError(f"There is a secret “{name}” already.", "name") from None
        return secret


class Secret(Named):
    # Protected: a secret without owner would be nobody's to replace or delete.
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="secrets")
    hosts = models.JSONField(default=list)
    ciphertext = models.TextField(blank=True, default="", editable=False)
    version = models.PositiveIntegerField(default=0, editable=False)  # counts its values
    last_used_at = models.DateTimeField(null=True, editable=False)

    objects = SecretQuerySet.as_manager()

    class Meta:
        ordering = ("name", "pk")
        constraints = (
            models.UniqueConstraint(fields=["owner", "name"], name="one_secret_a_name"),
            models.UniqueConstraint(
                fields=["group", "name"], name="one_secret_a_name_and_group", condition=Q(group__isnull=False)
            ),
        )

    @property
    def is_empty(self) -> bool:
        """Its key was lost: the value has to be given again."""
        return not self.ciphertext

    @property
    def goes_anywhere(self) -> bool:
        return hosts.ANYWHERE in self.hosts

    @sensitive_variables("value")
    def replace(self, value: str, by: Any) -> None:
        """Another value from now on; the earlier one is gone."""
        clean_value(value, self.name)
        while not self._write(vault().seal(value, self._bound(self.version + 1)), by):
            self.refresh_from_db(fields=["version"])

    def describe(self, allowed: Iterable[str], *, group: Any, description: str, by: Any) -> None:
        """Everything but its value. Raises InputError."""
        if group and group.pk != self.group_id:
            refuse_taken_in(Secret.objects.exclude(pk=self.pk), self.name, group, "secret")
        self.hosts, self.group, self.description, self.updated_by = clean_hosts(allowed), group, description, by
        self.save(update_fields=["hosts", "group", "description", "updated_by", "updated_at"])

    def reveal(self) -> str:
        """The value, for what sends it and for nothing else. Raises VaultError."""
        if self.is_empty:
            raise VaultError(f"The secret “{self.name}” has no value any more, since its key was lost.")
        return vault().unseal(self.ciphertext, self._bound(self.version))

    def reseal(self, keys: Vault) -> bool:
        """The same value under the first key; False where somebody replaced it meanwhile. Raises VaultError."""
        sealed = keys.seal(keys.unseal(self.ciphertext, self._bound(self.version)), self._bound(self.version))
        as_it_was = Secret.objects.filter(pk=self.pk, ciphertext=self.ciphertext)
        return as_it_was.update(ciphertext=sealed) == 1

    def mark_used(self, now: datetime) -> None:
        """At most one write a minute."""
        if self.last_used_at is None or self.last_used_at < now - USED_EVERY:
            Secret.objects.filter(pk=self.pk).update(last_used_at=now)

    def _write(self, sealed: str, by: Any) -> bool:
        now, next_version = timezone.now(), self.version + 1
        facts = {"ciphertext": sealed, "version": next_version, "updated_at": now, "updated_by": by}
        if Secret.objects.filter(pk=self.pk, version=self.version).update(**facts) != 1:
            return False
        self.ciphertext, self.version, self.updated_at, self.updated_by = sealed, next_version, now, by
        return True

    def _bound(self, version: int) -> str:
        """What a ciphertext belongs to: moved to another row, owner, name or version it cannot be opened."""
        return f"secret:{self.pk}:{self.owner_id}:{self.name}:{version}"


@sensitive_variables("value")
def clean_value(value: str, name: str) -> str:
    """Raises InputError, in words that do not hold the value."""
    size = len(value.encode(errors="replace"))
    if len(value) < LEAST:
        raise InputError(f"A secret has at least {LEAST} characters: a shorter one could not be hidden.", "value")
    if size > MOST_BYTES:
        raise InputError(f"A secret has at most {MOST_BYTES:,} bytes; this one has {size:,}.", "value")
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise InputError("It holds a NUL or half of a surrogate pair, which no other system takes as text.", "value")
    if not value.strip():
        raise InputError("The value is nothing but spaces.", "value")
    if value in f"[secret {name}]":
        raise InputError("The value stands in the name, which everybody sees. Choose another name.", "name")
    return value


def clean_hosts(allowed: Iterable[str]) -> list[str]:
    """In the order in which they were written, each once. Raises InputError."""
    try:
        found = list(dict.fromkeys(hosts.normal_pattern(host) for host in allowed if host.strip()))
    except ValueError as error:
        raise InputError(str(error), "hosts") from None
    if not found:
        raise InputError("Name at least one host that it may go to; * is any.", "hosts")
    if len(found) > hosts.MOST:
        raise InputError(f"At most {hosts.MOST} hosts; these are {len(found)}. *.example.com is many.", "hosts")
    return found
