"""compute: works out dates, texts, numbers and hashes, one after another; of the data or of each item of a list."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from django.conf import settings
from pydantic import Field

from workflows.comparison import said
from workflows.errors import WorkflowStepError
from workflows.steps import base
from workflows.transform.calculations import Calculation, Room, calculated
from workflows.transform.places import AnyPlace, put
from workflows.transform.source import listed
from workflows.transform.thread import Stop, in_thread
from workflows.transform.weight import require_light
from workflows.transform.wrong import wrong
from workflows.words import count

MOST = 50
SIGNATURE = "signature"  # where a key goes that is used for a signature: nowhere, and a secret may be kept to that


class Config(base.Config):
    each: AnyPlace = Field(
        "",
        title="For each item of",
        description="A list in the data, such as items: fields are then those of each item. Empty: of the data.",
        json_schema_extra={"example": "items"},
    )
    calculations: Annotated[list[Calculation], Field(max_length=MOST)] = Field(
        [], title="Calculations", description="From top to bottom: each may use what one before it gave."
    )


def _preset(label: str, also: str = "", **row: Any) -> base.Preset:
    return base.Preset(label, {"calculations": [row]}, also)


class Compute(base.Step[Config]):
    kind, label, icon = "compute", "Dates, texts, hashes", "calendar"
    group, page, gives = "Data", "transform.md", "the data, changed"
    help = "Works out dates, texts, numbers, hashes and signatures."
    also = "calculate uuid base64 md5 sha256 hmac sign math number round timestamp url encode decode"
    start = {"calculations": [{}]}
    example = {
        "calculations": [
            {"do": "slug", "field": "text", "save_as": "address"},
            {"do": "date_shift", "value": "{{ now }}", "amount": 14, "unit": "days", "save_as": "due"},
        ]
    }
    presets = (
        _preset("Date and time", "calendar day", do="date_shift"),
        _preset("Extract by a pattern", "regex match", do="extract", find=r"\d+"),
        _preset("Replace text", do="replace", find="old", by="new"),
        _preset("Hash", "md5 sha256 checksum", do="hash"),
    )
    Config = Config

    async def run(self, ctx: base.StepContext) -> base.Done:
        made = await in_thread(lambda stop: self._worked(ctx, stop))
        many = count(len(self.config.calculations), "calculation")
        ctx.log(f"{many} for each item of “{self.config.each}”" if self.config.each else many)
        return base.Done(made)

    def _worked(self, ctx: base.StepContext, stop: Stop) -> dict[str, Any]:
        room = Room(
            ZoneInfo(ctx.time_zone or settings.TIME_ZONE),
            ctx.now,
            stop,
            cache(lambda name: ctx.reveal(name, SIGNATURE)),
            ctx.idempotency_key,
        )
        rows, place = self.config.calculations, self.config.each
        if not place:
            made: dict[str, Any] = calculated(rows, dict(ctx.data), room)
            return require_light(made, stop)
        items = [
            _of_item(rows, item, number, room) for number, item in enumerate(stop.each(listed(ctx.data, place, "")), 1)
        ]
        whole: dict[str, Any] = put(dict(ctx.data), place, items)
        return require_light(whole, stop)


def _of_item(rows: list[Calculation], item: Any, number: int, room: Room) -> Any:
    if not isinstance(item, dict):
        raise wrong(f"Item {number:,} must be an object with fields; it is {said(item)}.", item=number)
    try:
        return calculated(rows, item, room)
    except WorkflowStepError as error:
        raise WorkflowStepError(
            f"Item {number:,}: {error.message}", {**error.details, "item": number}, is_permanent=error.is_permanent
        ) from None
