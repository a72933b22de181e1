"""What Django answers with a bare word or nothing, as a page: a request that cannot be read (400), a wrong method
(405), our own fault (500).

The other refusals are templates/<status>.html alone, Django's convention. Nothing here asks the database: it may be
what is broken.
"""

from collections.abc import Callable
from secrets import token_hex

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from workflowsite.preferences import preferences


def unreadable(request: HttpRequest, exception: Exception) -> HttpResponse:
    return HttpResponse(render_to_string("400.html", preferences(request)), status=400)


def broken(request: HttpRequest) -> HttpResponse:
    """The page has a number to quote; Django logs the traceback after this, and logs.py finds the number there."""
    incident = token_hex(4)
    setattr(request, "incident", incident)  # noqa: B010  (HttpRequest declares no such thing)
    page = render_to_string("500.html", {"incident": incident, **preferences(request)})
    return HttpResponse(page, status=500)


class WrongMethod:
    """An address that only takes a form, opened as a page: a bookmark of it, or the way back from a sign-in."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code != 405 or response.streaming or response.content:
            return response
        page = render(request, "405.html", status=405)
        page.headers["Allow"] = response.headers["Allow"]
        return page
