"""Which secrets a step's form offers: by name, those that its workflow may use."""

from __future__ import annotations

from dataclasses import replace

from workflows.config import Row, Setting
from workflows.models import Secret, Workflow
from workflows.secrets.mentions import LOOK

NO_OWNER = "This workflow has no owner, so it may use no secret. Copy it: the copy is yours."


def with_secrets(workflow: Workflow, settings: list[Setting]) -> list[Setting]:
    """The fields with the names to choose from, also those within rows. One query, and none where there is no such
    field."""
    if not _has_any(settings):
        return settings
    rows = Secret.objects.usable_by(workflow).order_by("name").values_list("name", flat=True)
    names = list(dict.fromkeys(rows))
    return [_offered(one, names, has_owner=workflow.owner_id is not None) for one in settings]


def _has_any(settings: list[Setting]) -> bool:
    return any(one.look == LOOK or any(_has_any(row.fields) for row in one.rows) for one in settings)


def _offered(setting: Setting, names: list[str], *, has_owner: bool) -> Setting:
    if setting.look != LOOK:
        return replace(setting, rows=[_row(row, names, has_owner=has_owner) for row in setting.rows])
    options = (("", "None"), *((name, name) for name in names))
    is_lost = setting.value and setting.value not in names and not setting.errors
    why = NO_OWNER if not has_owner else f"There is no secret “{setting.value}” that this workflow may use."
    return replace(setting, choices=("", *names), options=options, errors=(why,) if is_lost else setting.errors)


def _row(row: Row, names: list[str], *, has_owner: bool) -> Row:
    return replace(row, fields=[_offered(one, names, has_owner=has_owner) for one in row.fields])
