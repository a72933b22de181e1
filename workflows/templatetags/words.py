"""The house's words and icons, for templates: {% load words %}."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from workflows import words

register = template.Library()

#: What templates/_icons.html draws for step kinds; a kind of one's own may name any of them.
STEP_ICONS = frozenset({"input", "output", "process", "ai", "delay", "countdown", "default", "branch", "http"})


@register.simple_tag
def icon(name: str, css: str = "") -> SafeString:
    return format_html('<svg class="icon {}" aria-hidden="true"><use href="#i-{}"/></svg>', css, name)


@register.simple_tag
def step_icon(name: str) -> SafeString:
    return icon(name if name in STEP_ICONS else "process")


@register.simple_tag
def chip(status: str, word: str = "") -> SafeString:
    """A state as icon, word and colour."""
    return format_html('<span class="chip is-{}">{}{}</span>', status, icon(status), word or status.capitalize())


@register.simple_tag
def moment(at: datetime | None, form: str = "moment") -> SafeString:
    """A time, in UTC; times.js says it in the reader's zone. `form`: moment, clock, exact (with ms) or age."""
    if at is None:
        return SafeString("–")
    at = at.astimezone(UTC)
    iso = f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"
    return format_html(
        '<time datetime="{}" data-as="{}" title="{:%Y-%m-%d %H:%M:%S} UTC">{}</time>', iso, form, at, _said(at, form)
    )


def _said(at: datetime, form: str) -> str:
    if form == "age":
        return words.age(at, timezone.now())
    if form == "clock":
        return f"{at:%H:%M:%S}"
    return f"{at:%H:%M:%S}.{at.microsecond // 1000:03}" if form == "exact" else f"{at:%d %b %Y, %H:%M:%S}"


@register.simple_tag
def elapsed(since: datetime) -> SafeString:
    """A time that still runs. The text is the same for whoever reads it whenever; times.js makes it tick."""
    since = since.astimezone(UTC)
    iso = f"{since:%Y-%m-%dT%H:%M:%S}.{since.microsecond // 1000:03}Z"
    return format_html('<time datetime="{}" data-as="elapsed">since {:%H:%M:%S}</time>', iso, since)


@register.filter
def duration(ms: float | None) -> str:
    return "–" if ms is None else words.duration(ms)


@register.filter
def counted(number: int, word: str) -> str:
    return words.count(number, word)


@register.filter
def as_json(value: Any) -> str:
    return words.as_json(value)
