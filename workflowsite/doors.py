"""Which doors stand open: the whole list. Every other page needs someone who is signed in."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import resolve_url
from django.urls import ResolverMatch
from django_htmx.http import HttpResponseClientRedirect

from workflowsite.preferences import way_back

#: By URL name. Whoever adds a line says why.
OPEN_ROUTES = frozenset(
    {
        "accounts:sign-in",  # the way in
        "accounts:welcome",  # the first start's link: its token is what lets one in
        "preferences",  # light or dark: the sign-in page has a theme too
        "executions:callback",  # for programs: the token in its address is what lets one in
    }
)

#: What Ninja serves beside its operations: pages for people, so they ask for a session like any other page.
API_PAGES = frozenset({"api-root", "openapi-json", "openapi-view"})


class SignedInOnly(LoginRequiredMiddleware):
    """Django's middleware, but a decorator on some view cannot open a door: only the list above can."""

    def process_view(
        self, request: HttpRequest, view_func: Callable[..., HttpResponseBase], view_args: Any, view_kwargs: Any
    ) -> HttpResponseBase | None:
        match = request.resolver_match
        if match is None or request.user.is_authenticated or is_open(match) or asks_for_itself(match):
            return None
        return to_sign_in(request)


def is_open(match: ResolverMatch) -> bool:
    return match.view_name in OPEN_ROUTES


def asks_for_itself(match: ResolverMatch) -> bool:
    """An operation of the API answers 401 by itself: a program has no use for a sign-in page."""
    return "ninja" in match.app_names and match.url_name not in API_PAGES


def to_sign_in(request: HttpRequest) -> HttpResponseBase:
    """A fragment's request moves the whole page there and back: a sign-in form inside a table row helps nobody."""
    from_page = getattr(request, "htmx", None) and request.htmx.current_url_abs_path  # type: ignore[attr-defined]
    redirect = redirect_to_login(from_page or _page_of(request), resolve_url("accounts:sign-in"))
    return HttpResponseClientRedirect(redirect.url) if getattr(request, "htmx", None) else redirect


def _page_of(request: HttpRequest) -> str:
    """Where to go on after the sign-in. What a form was sent to is no page: then it is the one that had the form."""
    if request.method in {"GET", "HEAD"}:
        return request.get_full_path()
    return way_back(request)
