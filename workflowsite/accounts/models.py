"""The rows behind the doors: API tokens, of which only a hash is kept, and failed tries to sign in."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import salted_hmac


class ApiToken(models.Model):
    """A program's key to the API: it may do what its user may do, until it is deleted."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12, help_text="How the token begins: enough to tell one from another.")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API token"
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @classmethod
    def issue(cls, user: User, name: str) -> tuple[ApiToken, str]:
        """A new token and its plain text, which is shown once and kept nowhere."""
        plain = f"step_{secrets.token_urlsafe(32)}"
        return cls.objects.create(user=user, name=name, prefix=plain[:12], digest=_digest(plain)), plain

    @classmethod
    def owner_of(cls, plain: str) -> User | None:
        """The active user behind a token's plain text. Any text costs one hash and one look-up by that hash."""
        token = cls.objects.select_related("user").filter(digest=_digest(plain), user__is_active=True).first()
        if token is None:
            return None
        token.note_use()
        return token.user

    def note_use(self) -> None:
        """At most once a minute: a program that asks all day must not write all day."""
        now = timezone.now()
        if self.last_used_at is None or self.last_used_at < now - timedelta(minutes=1):
            ApiToken.objects.filter(pk=self.pk).update(last_used_at=now)


def _digest(plain: str) -> str:
    """Without salt or stretching: 256 random bits cannot be guessed, and the hash must be found by an index."""
    return hashlib.sha256(plain.encode(errors="replace")).hexdigest()


class SignInAttempt(models.Model):
    """A try to sign in that has not succeeded. `person` is a keyed hash: people type passwords into the wrong field."""

    person = models.CharField(max_length=64)
    address = models.CharField(max_length=45)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["address", "at"], name="sign_in_attempt_by_address")]

    def __str__(self) -> str:
        return f"from {self.address} at {self.at:%Y-%m-%d %H:%M}"

    @classmethod
    def note(cls, username: str, address: str) -> SignInAttempt:
        cls.objects.filter(at__lt=timezone.now() - timedelta(days=1)).delete()
        return cls.objects.create(person=_person(username), address=address)

    def earlier(self, since: datetime, *, same_person: bool) -> models.QuerySet[SignInAttempt]:
        """What was tried from this address before this, newest first."""
        person = Q(person=self.person) if same_person else Q()
        return (
            SignInAttempt.objects.filter(person, address=self.address, at__gt=since).exclude(pk=self.pk).order_by("-at")
        )

    def succeeded(self) -> None:
        """This person's tries from this address are forgiven; those at other people's doors still count."""
        SignInAttempt.objects.filter(person=self.person, address=self.address).delete()


def _person(username: str) -> str:
    return salted_hmac("accounts.SignInAttempt", username.casefold(), algorithm="sha256").hexdigest()
