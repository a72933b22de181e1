"""How a visitor likes the pages: light or dark, and whether single keys do something.

Kept in cookies and not in the database: the first paint is right for whoever is not signed in too, and an error page
needs no row for it.
"""

from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

#: What can be chosen. The first is what a new visitor has.
CHOICES = {"theme": ("system", "light", "dark"), "keys": ("on", "off")}
KEPT_SECONDS = 365 * 24 * 60 * 60


def preferences(request: HttpRequest) -> dict[str, dict[str, str]]:
    """For every template: {{ preferences.theme }}, {{ preferences.keys }}."""
    return {"preferences": {name: _chosen(request, name) for name in CHOICES}}


@require_POST
def choose(request: HttpRequest) -> HttpResponse:
    """Keeps what was sent of it, and goes back to where the visitor was."""
    response = HttpResponseRedirect(way_back(request), status=303)
    for name, values in CHOICES.items():
        if request.POST.get(name) in values:
            response.set_cookie(
                cookie(name),
                request.POST[name],
                max_age=KEPT_SECONDS,
                secure=settings.IS_HTTPS,
                httponly=True,
                samesite="Lax",
            )
    return response


def way_back(request: HttpRequest) -> str:
    """The page that had the form, where it is one of this site; else home."""
    came_from = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(came_from, {request.get_host()}):
        return "/"
    path = urlsplit(came_from)._replace(scheme="", netloc="", fragment="").geturl()
    return path if url_has_allowed_host_and_scheme(path, None) else "/"  # “//elsewhere” is a path too


def cookie(name: str) -> str:
    return f"{settings.COOKIE_PREFIX}stepstream_{name}"


def _chosen(request: HttpRequest, name: str) -> str:
    kept = request.COOKIES.get(cookie(name), "")
    return kept if kept in CHOICES[name] else CHOICES[name][0]
