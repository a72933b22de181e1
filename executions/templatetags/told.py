"""Sentences about executions, for templates: {% load told %}."""

from __future__ import annotations

from datetime import datetime

from django import template
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from executions.words import Sentence
from workflows.templatetags.words import moment

register = template.Library()


@register.simple_tag
def sentence(parts: Sentence) -> SafeString:
    """Texts as they are; numbers of executions as links, moments as times."""
    return format_html_join("", "{}", ((_part(part),) for part in parts))


def _part(part: str | int | datetime) -> str:
    if isinstance(part, datetime):
        return moment(part)
    if isinstance(part, int):
        return format_html('<a class="link" href="{}">#{}</a>', reverse("executions:show", args=[part]), part)
    return part
