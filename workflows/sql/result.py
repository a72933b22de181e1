"""What came of a statement, as JSON values, within limits."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings

from workflows.errors import WorkflowStepError
from workflows.words import count

CHUNK = 200  # rows that are asked for together


@dataclass(slots=True)
class Result:
    """`changed`: rows that the statement wrote, where it did. `is_cut`: there were more rows than were asked for."""

    columns: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    is_cut: bool = False
    changed: int | None = None
    renamed: list[str] = field(default_factory=list)

    def as_data(self) -> dict[str, Any]:
        more = {} if self.changed is None else {"changed": self.changed}
        return {"rows": self.rows, "count": len(self.rows), "is_cut": self.is_cut, **more}

    @property
    def told(self) -> str:
        told = [count(len(self.rows), "row")] if self.columns or self.changed is None else []
        if self.is_cut:
            told.append("there are more, which are left out")
        if self.changed is not None:
            told.append(f"{count(self.changed, 'row')} changed")
        return "; ".join(told)


def gathered(columns: Sequence[str], chunks: Iterable[Sequence[Sequence[Any]]], most: int) -> Result:
    """The first rows, each an object by column. Raises WorkflowStepError where they are more than a step may keep."""
    names = _distinct(columns)
    result = Result(names, renamed=[name for name, old in zip(names, columns, strict=True) if name != old])
    size = 0
    for chunk in chunks:
        for values in chunk:
            if len(result.rows) == most:
                result.is_cut = True
                return result
            row = {name: as_json(value) for name, value in zip(names, values, strict=True)}
            size += sum(len(name) + _weight(value) for name, value in row.items())
            _require_room(size, len(result.rows))
            result.rows.append(row)
    return result


def as_json(value: Any) -> Any:
    """A number where nothing is lost by it, text for what JSON has not, Base64 for bytes, null for NaN."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [as_json(item) for item in value]
    return str(value)


def _number(value: Decimal) -> int | float | str | None:
    if not value.is_finite():
        return None
    if value == value.to_integral_value() and abs(value) < 2**53:
        return int(value)
    return float(value) if Decimal(repr(float(value))) == value else str(value)


def _distinct(columns: Sequence[str]) -> list[str]:
    """ "id", "id" -> "id", "id_2": an object has each name once."""
    names: list[str] = []
    for column in columns:
        name, number = column, 1
        while name in names or (number > 1 and name in columns):
            number += 1
            name = f"{column}_{number}"
        names.append(name)
    return names


def _weight(value: Any) -> int:
    return len(value) + 6 if isinstance(value, str) else 8 if isinstance(value, int | float) else len(str(value))


def _require_room(size: int, rows: int) -> None:
    if size > (limit := settings.ENGINE["DATA_BYTES"]):
        text = f"The result is too large: after {count(rows, 'row')} it has more than {limit:,} bytes. Ask for fewer "
        text += "rows or columns."
        raise WorkflowStepError(text, {"rows": rows, "limit": limit}, is_permanent=True)
