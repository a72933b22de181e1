"""One value worked out from another: what a row of a `compute` step asks for, and how it is done."""

from __future__ import annotations

import base64
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from workflows import paths
from workflows.comparison import number_of, said
from workflows.errors import WorkflowStepError
from workflows.spans import said as span_said
from workflows.spans import seconds as span_seconds
from workflows.steps.secret_name import SecretName
from workflows.transform import dates, hashes, places, texts
from workflows.transform.source import at
from workflows.transform.thread import Stop
from workflows.transform.wrong import setting, wrong

DO: dict[str, Any] = {
    "date_format": "Date: write it by a pattern",
    "date_read": "Date: read it by a pattern",
    "date_shift": "Date: earlier or later",
    "date_between": "Date: time between two dates",
    "date_start": "Date: beginning of its day, week, month …",
    "date_end": "Date: end of its day, week, month …",
    "date_zone": "Date: in another time zone",
    "date_parts": "Date: its year, month, weekday …",
    "timestamp": "Date: seconds since 1970",
    "span_seconds": "Length of time: 1 h 30 min → 5400",
    "span_say": "Length of time: 5400 → 1 h 30 min",
    "upper": "Text: CAPITALS",
    "lower": "Text: small letters",
    "title": "Text: First Letters Capital",
    "trim": "Text: without blanks around it",
    "truncate": "Text: cut to a length",
    "slug": "Text: for an address (creme-brulee)",
    "replace": "Text: replace",
    "replace_pattern": "Text: replace by a pattern",
    "extract": "Text: take out by a pattern",
    "split": "Text: split into a list",
    "join": "Text: put a list together",
    "length": "Text or list: its length",
    "number": "Number: read from text",
    "round": "Number: round",
    "hash": "Hash (SHA-256, MD5 …)",
    "sign": "Signature (HMAC) with a secret",
    "uuid": "Unique id (UUID) of a text, or of this run",
    "base64": "Base64: write",
    "unbase64": "Base64: read",
    "url": "Address: escape (a b → a%20b)",
    "unurl": "Address: unescape",
}
# fmt: off
Do = Literal[
    "date_format", "date_read", "date_shift", "date_between", "date_start", "date_end", "date_zone", "date_parts",
    "timestamp", "span_seconds", "span_say",
    "upper", "lower", "title", "trim", "truncate", "slug", "replace", "replace_pattern", "extract", "split", "join",
    "length", "number", "round",
    "hash", "sign", "uuid", "base64", "unbase64", "url", "unurl",
]
UNITS: dict[str, Any] = {
    "seconds": "seconds", "minutes": "minutes", "hours": "hours", "days": "days", "weeks": "weeks",
    "months": "months", "years": "years",
}
DATES = [
    "date_format", "date_read", "date_shift", "date_between", "date_start", "date_end", "date_zone", "date_parts",
    "timestamp",
]
# fmt: on
PATTERNS = ("replace_pattern", "extract")


def _when(*of: str, **more: Any) -> dict[str, Any]:
    return {"when": {"do": list(of)}, **more}


class Calculation(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    do: Do = Field("date_format", title="Do", description="What is worked out.", json_schema_extra={"words": DO})
    field: places.AnyPlace = Field(
        "",
        title="From the field",
        description="Where the value stands, such as order.date.",
        json_schema_extra={"example": "order.date"},
    )
    value: Any = Field(
        None,
        title="Or from the value",
        description="Instead of a field: text, “now”, or an expression such as {{ steps.fetch.output.date }}.",
        json_schema_extra={"look": "text", "example": "now, or {{ input.date }}"},
    )
    pattern: str = Field(
        "yyyy-MM-dd",
        title="Pattern of the date",
        description="yyyy-MM-dd HH:mm, dd.MM.yy, EEEE d MMMM yyyy, h:mm a. Other letters between apostrophes.",
        max_length=200,
        json_schema_extra=_when("date_format", "date_read"),
    )
    amount: float = Field(
        1,
        title="How many later",
        description="Such as 3; earlier: -3.",
        ge=-1_000_000_000,
        le=1_000_000_000,
        allow_inf_nan=False,
        json_schema_extra=_when("date_shift"),
    )
    unit: dates.Unit = Field(
        "days",
        title="Unit",
        description="Such as days.",
        json_schema_extra=_when("date_shift", "date_between", "date_start", "date_end", words=UNITS),
    )
    until: Any = Field(
        "now",
        title="Until",
        description="“now”, a date, a field of the data such as order.due, or an expression.",
        json_schema_extra=_when("date_between", look="text"),
    )
    zone: str = Field(
        "",
        title="Time zone",
        description="Such as Europe/Berlin. Empty: that of the workflow.",
        json_schema_extra=_when(*DATES, example="Europe/Berlin"),
    )
    find: str = Field(
        "",
        title="Find",
        description=r"The text, or a pattern such as (\d+) EUR.",
        max_length=texts.LONGEST_PATTERN,
        validate_default=True,
        json_schema_extra=_when("replace", *PATTERNS, look="text", example=r"(\d+) EUR"),
    )
    by: str = Field(
        "",
        title="Replace by",
        description=r"Empty: by nothing. In a pattern, \1 is what the first group caught.",
        max_length=10_000,
        json_schema_extra=_when("replace", "replace_pattern", look="text", example=r"\1 euros"),
    )
    ignore_case: bool = Field(
        False, title="Capitals make no difference", description="Such as a for A.", json_schema_extra=_when(*PATTERNS)
    )
    every: bool = Field(
        False, title="All matches, as a list", description="Else the first one.", json_schema_extra=_when("extract")
    )
    separator: str = Field(
        "",
        title="Between the parts",
        description="Such as a comma. Empty: a new line.",
        max_length=100,
        json_schema_extra=_when("split", "join", example=","),
    )
    length: int = Field(
        100, ge=0, le=1_000_000, title="At most", description="Characters.", json_schema_extra=_when("truncate")
    )
    decimals: int = Field(
        0, ge=0, le=15, title="Decimal places", description="Such as 2.", json_schema_extra=_when("round")
    )
    comma: bool = Field(
        False, title="With a decimal comma: 1.234,50", description="Else 1,234.50.", json_schema_extra=_when("number")
    )
    algorithm: hashes.Algorithm = Field(
        "sha256",
        title="Method",
        description="SHA-256 where nobody asks for another one.",
        json_schema_extra=_when(
            "hash", "sign", words={"sha256": "SHA-256", "sha512": "SHA-512", "sha1": "SHA-1", "md5": "MD5"}
        ),
    )
    encoding: hashes.Encoding = Field(
        "hex",
        title="Written as",
        description="As the other side wants it.",
        json_schema_extra=_when("hash", "sign", words={"hex": "hexadecimal", "base64": "Base64"}),
    )
    secret: SecretName = Field(
        "",
        title="Secret",
        description="Its name: the key of the signature.",
        validate_default=True,
        json_schema_extra=_when("sign", look="secret"),
    )
    save_as: places.AnyPlace = Field(
        "",
        title="Save as",
        description="Such as due_date. Empty: in place of the field, or as result.",
        json_schema_extra={"example": "due_date"},
    )

    @property
    def target(self) -> str:
        return self.save_as or self.field or "result"

    @property
    def is_given(self) -> bool:
        """The value counts where there is one. Without a field, also one that is nothing, as an expression may give."""
        return self.value not in (None, "") or ("value" in self.model_fields_set and not self.field)

    @field_validator("pattern")
    @classmethod
    def _pattern_is_one(cls, pattern: str, known: ValidationInfo) -> str:
        if known.data.get("do") in ("date_format", "date_read") and (why := dates.wrong_pattern(pattern)):
            raise setting(why)
        return pattern

    @field_validator("zone")
    @classmethod
    def _zone_is_known(cls, zone: str, known: ValidationInfo) -> str:
        if zone.strip():
            zone_of(zone)
        return zone.strip()

    @field_validator("find")
    @classmethod
    def _find_is_usable(cls, find: str, known: ValidationInfo) -> str:
        if known.data.get("do") == "replace" and not find:
            raise setting("expected the text that is replaced")
        if known.data.get("do") in PATTERNS:
            try:
                texts.pattern_of(find)
            except ValueError as error:
                raise setting(str(error)) from None
        return find

    @field_validator("secret")
    @classmethod
    def _signature_has_a_key(cls, secret: str, known: ValidationInfo) -> str:
        if known.data.get("do") == "sign" and not secret:
            raise setting("choose the secret that is the key of the signature")
        return secret


def zone_of(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name.strip()[:100])
    except (ValueError, OSError, KeyError):  # also a path, and a folder of zones
        raise setting(f"expected a time zone such as Europe/Berlin or UTC; it is “{name[:60]}”") from None


@dataclass(frozen=True, slots=True)
class Room:
    """What a calculation may know besides its value. `reveal`: a secret's value by its name. `key`: of this attempt's
    step, the same over retries."""

    zone: ZoneInfo
    now: datetime
    stop: Stop
    reveal: Callable[[str], str]
    key: str


def calculated(rows: list[Calculation], data: Any, room: Room) -> Any:
    """The data with each row's result; each sees what those before it gave."""
    for number, row in enumerate(rows, 1):
        try:
            data = places.put(data, row.target, result(row, data, room))
        except WorkflowStepError as error:
            name = f"Calculation {number} ({DO[row.do].partition(':')[0]}, “{row.field or row.target}”)"
            raise WorkflowStepError(
                f"{name}: {error.message}",
                {**error.details, "row": number, "field": row.field},
                is_permanent=error.is_permanent,
                retry_after_s=error.retry_after_s,
            ) from None
    return data


def result(row: Calculation, data: Any, room: Room) -> Any:
    value = row.value if row.is_given else at(data, row.field) if row.field else _nothing(row, room)
    if row.do in DATES:
        return _dated(row, value, data, room)
    return OPERATIONS[row.do](row, value, room)


def _nothing(row: Calculation, room: Room) -> Any:
    """Of dates: now. Of a unique id: one for this step of this run, the same when it is tried again."""
    if row.do == "uuid":
        return room.key
    if row.do in DATES and row.do != "date_read":
        return "now"
    raise wrong("Name a field, or give a value.")


def _dated(row: Calculation, value: Any, data: Any, room: Room) -> Any:
    zone = zone_of(row.zone) if row.zone else room.zone
    if row.do == "date_read":
        return dates.written(dates.read_by(value, row.pattern, zone))
    moment = dates.moment(value, zone, room.now)
    if row.do == "date_between":
        return dates.between(moment, dates.moment(_until(row.until, data), zone, room.now), row.unit, zone)
    return DATED[row.do](row, moment, zone)


def _until(until: Any, data: Any) -> Any:
    """A date, or the name of the field that holds one."""
    if isinstance(until, str) and isinstance(data, Mapping):
        found = paths.found(data, until.strip())
        return until if found is paths.MISSING else found
    return until


DATED: dict[str, Callable[[Calculation, dates.Moment, ZoneInfo], Any]] = {
    "date_format": lambda row, moment, zone: dates.formatted(moment, row.pattern, zone),
    "date_shift": lambda row, moment, zone: dates.written(dates.shifted(moment, row.amount, row.unit, zone)),
    "date_start": lambda row, moment, zone: dates.written(dates.start(moment, row.unit, zone)),
    "date_end": lambda row, moment, zone: dates.written(dates.end(moment, row.unit, zone)),
    "date_zone": lambda row, moment, zone: dates.written(dates.as_time(moment, zone)),
    "date_parts": lambda row, moment, zone: dates.parts(moment, zone),
    "timestamp": lambda row, moment, zone: int(dates.as_time(moment, zone).timestamp()),
}


def _span(row: Calculation, value: Any, room: Room) -> int:
    try:
        made = span_seconds(texts.text(value))
    except ValueError as error:
        raise wrong(str(error)) from None
    if made is None:
        raise wrong("Expected a length of time such as 1 h 30 min; it is empty.")
    return made


def _span_said(row: Calculation, value: Any, room: Room) -> str:
    number = number_of(value)
    if number is None or not 0 <= number < 1e12:
        raise wrong(f"Expected a number of seconds such as 5400; it is {said(value)}.")
    return span_said(round(number))


def _length(row: Calculation, value: Any, room: Room) -> int:
    return len(value) if isinstance(value, str | list | dict) else len(texts.text(value))


def _rounded(row: Calculation, value: Any, room: Room) -> int | float:
    """Half goes away from zero, as people round: 2.5 is 3."""
    from decimal import ROUND_HALF_UP, Decimal

    number = number_of(value)
    if number is None:
        raise wrong(f"Expected a number such as 12.345; it is {said(value)}.")
    if isinstance(number, int) or abs(number) >= 1e15:
        return number
    made = Decimal(repr(number)).quantize(Decimal(1).scaleb(-row.decimals), ROUND_HALF_UP)
    return float(made) if row.decimals else int(made)


def _signed(row: Calculation, value: Any, room: Room) -> str:
    key = room.reveal(row.secret)
    return hashes.signature(texts.text(value).encode(), key.encode(), row.algorithm, row.encoding)


def _from_base64(row: Calculation, value: Any, room: Room) -> str:
    try:
        return hashes.from_base64(texts.text(value)).decode()
    except UnicodeDecodeError:
        raise wrong("What is encoded there is no text in UTF-8. Files are read by “Read or write a format”.") from None


def _plain(change: Callable[[str], Any]) -> Callable[[Calculation, Any, Room], Any]:
    return lambda row, value, room: change(texts.text(value))


OPERATIONS: dict[str, Callable[[Calculation, Any, Room], Any]] = {
    "span_seconds": _span,
    "span_say": _span_said,
    "upper": _plain(str.upper),
    "lower": _plain(str.lower),
    "title": _plain(str.title),
    "trim": _plain(str.strip),
    "truncate": lambda row, value, room: texts.truncated(texts.text(value), row.length),
    "slug": _plain(texts.slug),
    "replace": lambda row, value, room: texts.replaced(texts.text(value), row.find, row.by, room.stop),
    "replace_pattern": lambda row, value, room: texts.replaced_by_pattern(
        texts.text(value), row.find, row.by, row.ignore_case, room.stop
    ),
    "extract": lambda row, value, room: texts.extracted(
        texts.text(value), row.find, row.ignore_case, row.every, room.stop
    ),
    "split": lambda row, value, room: texts.split(texts.text(value), row.separator),
    "join": lambda row, value, room: texts.joined(value, row.separator or "\n"),
    "length": _length,
    "number": lambda row, value, room: texts.number(value, row.comma),
    "round": _rounded,
    "hash": lambda row, value, room: hashes.digest(texts.text(value).encode(), row.algorithm, row.encoding),
    "sign": _signed,
    "uuid": _plain(hashes.unique),
    "base64": lambda row, value, room: base64.b64encode(texts.text(value).encode()).decode(),
    "unbase64": _from_base64,
    "url": _plain(lambda value: urllib.parse.quote(value, safe="")),
    "unurl": _plain(urllib.parse.unquote),
}
