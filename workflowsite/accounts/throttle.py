"""How often one may try to sign in: a sliding window, so nobody is locked out for good, and it says when to try again.

Each try is noted before the password is looked at. So a hundred tries at the same moment count as a hundred.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from workflowsite.accounts.models import SignInAttempt


@dataclass(frozen=True)
class Limit:
    tries: int
    window: timedelta
    same_person: bool


LIMITS = (
    Limit(5, timedelta(minutes=15), same_person=True),
    Limit(30, timedelta(hours=1), same_person=False),  # one address that goes through many names
)


class TooManyTries(Exception):
    """Too many tries to sign in."""

    def __init__(self, until: datetime) -> None:
        self.until = until
        self.seconds = max(1, ceil((until - timezone.now()).total_seconds()))
        minutes = ceil(self.seconds / 60)
        wait = "a minute" if minutes == 1 else f"{minutes} minutes"
        super().__init__(f"Too many tries. Please try again in {wait}, at {until:%H:%M} UTC.")


def begin(request: HttpRequest, username: str) -> SignInAttempt:
    """Note a try, or raise TooManyTries. A refused try is not counted: hammering does not make the wait longer."""
    attempt = SignInAttempt.note(username, address_of(request))
    until = _closed_until(attempt)
    if until is None:
        return attempt
    attempt.delete()
    raise TooManyTries(until)


def address_of(request: HttpRequest) -> str:
    """Who knocks. A proxy's word counts only where the proxy is known; of its list only what it added itself."""
    address = request.META.get("REMOTE_ADDR", "")
    hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
    while hops and address in settings.TRUSTED_PROXIES:
        address = hops.pop()
    return address[:45]


def _closed_until(attempt: SignInAttempt) -> datetime | None:
    ends = [_end(limit, attempt) for limit in LIMITS]
    return max((end for end in ends if end is not None), default=None)


def _end(limit: Limit, attempt: SignInAttempt) -> datetime | None:
    earlier = attempt.earlier(timezone.now() - limit.window, same_person=limit.same_person)
    times = list(earlier.values_list("at", flat=True)[: limit.tries])
    return times[-1] + limit.window if len(times) == limit.tries else None
