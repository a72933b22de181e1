"""What keeps code steps in, for pages: {% load sandbox %}, {% sandbox %}."""

from __future__ import annotations

from django import template

from workflows.jail import children as jail

register = template.Library()


@register.simple_tag
def sandbox() -> str:
    """“Sandbox: strong. Tried on this machine: …”"""
    strength = jail.strength()
    return f"Sandbox: {strength.level}. {strength.sentence}"
