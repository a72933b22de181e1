"""The house's words and icons, for templates: {% load words %}."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django import template
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from workflows import words
from workflows.drawing import Link

register = template.Library()

#: What templates/_icons.html draws for step kinds; a kind of one's own may name any of them.
STEP_ICONS = frozenset(
    {
        *("input", "output", "process", "ai", "delay", "countdown", "default", "check", "branch", "http"),
        *("for_each", "call", "person", "link", "file", "mail", "table", "edit", "list", "calendar", "convert"),
        *("download", "search"),
    }
)


@register.filter
def has_lines(text: object) -> bool:
    """Whether places in it stand below each other, such as a caret below what it points at."""
    return "\n" in str(text or "")


@register.simple_tag
@lru_cache(maxsize=1_024)
def icon(name: str, css: str = "") -> SafeString:
    return format_html('<svg class="icon {}" aria-hidden="true"><use href="#i-{}"/></svg>', css, name)


@register.simple_tag
def step_icon(name: str) -> SafeString:
    return icon(name if name in STEP_ICONS else "process")


@register.simple_tag
@lru_cache(maxsize=1_024)
def chip(status: str, word: str = "") -> SafeString:
    """A state as icon, word and colour."""
    return format_html('<span class="chip is-{}">{}{}</span>', status, icon(status), word or status.capitalize())


@register.simple_tag
@lru_cache(maxsize=8_192)
def outline_step(step: Any, may_edit: bool, is_top: bool, is_selected: bool = False) -> SafeString:
    """A step of the builder's outline. Kept: one of 2,000 changes while somebody types, and all are sent."""
    names = {"step": step, "may_edit": may_edit, "is_top": is_top, "is_selected": is_selected}
    return render_to_string("workflows/_outline_step.html", names)


TIME = '<time datetime="{}" data-as="{}" title="{} UTC">{}</time>'


@register.simple_tag
def moment(at: datetime | None, form: str = "moment") -> SafeString:
    """A time, in UTC; times.js says it in the reader's zone. `form`: moment, clock, exact (with ms) or age."""
    if at is None:
        return SafeString("–")
    at = at.astimezone(UTC)
    return format_html(TIME, words.iso(at), form, f"{at:%Y-%m-%d %H:%M:%S}", _said(at, form))


@register.simple_tag
def elapsed(since: datetime) -> SafeString:
    """A time that still runs. The text is the same for whoever reads it whenever; times.js makes it tick."""
    since = since.astimezone(UTC)
    return format_html(TIME, words.iso(since), "elapsed", f"since {since:%Y-%m-%d %H:%M:%S}", f"since {since:%H:%M:%S}")


def _said(at: datetime, form: str) -> str:
    forms = {"age": words.age(at, timezone.now()), "clock": f"{at:%H:%M:%S}", "exact": words.iso(at)[11:-1]}
    return forms.get(form, f"{at:%d %b %Y, %H:%M:%S}")


@register.simple_tag
@lru_cache(maxsize=16_384)
def drawn(link: Link, look: str) -> SafeString:
    """A connection of the drawn graph. Kept, since a page sends all of them whenever one changes its look."""
    line = format_html('<path class="edge {0}" d="{1}"/><path class="tip {0}" d="{2}"/>', look, link.path, link.tip)
    if not link.label:
        return line
    place = f"{link.label_x:g}", f"{link.label_y:g}"
    return line + format_html('<text class="edge-label" x="{}" y="{}">{}</text>', *place, link.label)


@register.filter
def duration(ms: float | None) -> str:
    return "–" if ms is None else words.duration(ms)


@register.filter
def iso(at: datetime) -> str:
    return words.iso(at)


@register.filter
def counted(number: int, word: str) -> str:
    return words.count(number, word)


@register.filter
def as_json(value: Any) -> str:
    return words.as_json(value)


@register.filter
def plain_json(value: Any) -> str:
    """For a hidden field: to be read back, not by people."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
