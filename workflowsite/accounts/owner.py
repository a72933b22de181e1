"""The first owner of a new installation, who has no default password: a one-time link on the console lets them in.

The link's token is Django's for password resets. Its hash covers the password and the last sign-in, so the first
use ends it, and so does the password that the owner then sets.
"""

from django.conf import settings
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.contrib.auth.models import User
from django.contrib.auth.tokens import default_token_generator
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import get_random_string
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode


def first_owner() -> str | None:
    """See that somebody can come in. Returns the path of the one-time link where a password is still to be set."""
    _make_configured_owner()
    if _somebody_has_a_password():
        return None
    owner = _owner_without_password()
    uid = urlsafe_base64_encode(force_bytes(owner.pk))
    return reverse("accounts:welcome", args=[uid, default_token_generator.make_token(owner)])


def invited(uid: str, token: str) -> User | None:
    """The owner whom this link would let in; nothing is used up by asking."""
    try:
        owner = User.objects.get(pk=urlsafe_base64_decode(uid).decode(), is_active=True)
    except (User.DoesNotExist, ValueError, OverflowError):
        return None
    return owner if default_token_generator.check_token(owner, token) else None


def use_up(owner: User) -> bool:
    """True for one caller only: of two with the same link the first moves `last_login`, the other finds it moved."""
    unmoved = User.objects.filter(pk=owner.pk, last_login=owner.last_login)
    return unmoved.update(last_login=timezone.now()) == 1


def _make_configured_owner() -> None:
    name, password = settings.FIRST_OWNER_USERNAME, settings.FIRST_OWNER_PASSWORD
    if name and password and not User.objects.filter(username=name).exists():
        User.objects.create_superuser(name, settings.FIRST_OWNER_EMAIL, password)


def _somebody_has_a_password() -> bool:
    none = Q(password="") | Q(password__startswith=UNUSABLE_PASSWORD_PREFIX)
    return User.objects.filter(is_active=True).exclude(none).exists()


def _owner_without_password() -> User:
    owner = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
    return owner or User.objects.create_superuser(_free_name())


def _free_name() -> str:
    taken = User.objects.filter(username="owner").exists()
    return f"owner-{get_random_string(4)}" if taken else "owner"
