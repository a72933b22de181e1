"""The sprite has what the pages name, no drawing twice, and it stays light enough to stand in every page."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

from executions.models import ExecutionStatus
from workflows.templatetags.words import STEP_ICONS

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
SPRITE = (TEMPLATES / "_icons.html").read_text()
DRAWN = dict(re.findall(r'<symbol id="i-([\w-]+)" viewBox="0 0 16 16">(.+?)</symbol>', SPRITE))
NAMED = re.compile(r"""\{% icon ["']([\w-]+)["']|href="#i-([\w-]+)\"""")


def test_every_icon_that_a_template_names_is_drawn() -> None:
    named = {name for file in TEMPLATES.rglob("*.html") for pair in NAMED.findall(file.read_text()) for name in pair}
    assert len(named) > 5
    assert named - {""} <= set(DRAWN)


def test_every_state_and_every_kind_of_step_has_a_drawing() -> None:
    assert {*ExecutionStatus.values, "skipped", *STEP_ICONS} <= set(DRAWN)


def test_no_two_icons_look_the_same() -> None:
    """States must be told apart without colour."""
    assert len(DRAWN) == SPRITE.count("<symbol") == len(set(DRAWN.values()))


def test_the_sprite_stays_light() -> None:
    assert len(DRAWN) <= 60
    assert len(gzip.compress(SPRITE.encode())) <= 2_560
