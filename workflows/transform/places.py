"""Writing at a place such as `customer.name`: a changed copy of what lies on the way there; the rest is shared."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator

from workflows import paths
from workflows.comparison import said
from workflows.transform.wrong import setting, wrong


def put(whole: Any, place: str, value: Any) -> Any:
    """`whole` with the value at this place; objects that are not there yet are made."""
    return _put(whole, place.split("."), value, place)


def _put(whole: Any, parts: list[str], value: Any, place: str) -> Any:
    if not parts:
        return value
    name, *rest = parts
    if isinstance(whole, list):
        if not (name.isascii() and name.isdigit() and int(name[:9]) < len(whole)):
            raise wrong(f"“{place}” cannot be set: “{name[:40]}” is no item of {said(whole)}.")
        at = int(name[:9])
        return [*whole[:at], _put(whole[at], rest, value, place), *whole[at + 1 :]]
    if whole is not None and not isinstance(whole, dict):
        raise wrong(f"“{place}” cannot be set: what should hold “{name[:40]}” is {said(whole)}, and not an object.")
    inside = whole or {}
    return {**inside, name: _put(inside.get(name), rest, value, place)}


def without(whole: Any, place: str) -> Any:
    """`whole` without what stands there; the same where nothing does."""
    return _without(whole, place.split("."))


def _without(whole: Any, parts: list[str]) -> Any:
    if isinstance(whole, list) and len(parts) > 1 and parts[0].isdigit() and int(parts[0][:9]) < len(whole):
        at = int(parts[0][:9])
        return [*whole[:at], _without(whole[at], parts[1:]), *whole[at + 1 :]]
    if not isinstance(whole, dict):
        return whole
    for size in range(1, len(parts) + 1):  # a key may have dots of its own, as paths.found() has it
        key = ".".join(parts[:size])
        if key in whole and size == len(parts):
            return {name: item for name, item in whole.items() if name != key}
        if key in whole and (inner := _without(whole[key], parts[size:])) is not whole[key]:
            return {**whole, key: inner}
    return whole


def picked(whole: Any, places: list[str]) -> dict[str, Any]:
    """Only what stands at these places, each where it stood."""
    made: dict[str, Any] = {}
    for place in places:
        if (value := paths.found(whole, place)) is not paths.MISSING:
            made = {**made, place: value} if isinstance(whole, dict) and place in whole else put(made, place, value)
    return made


def renamed(whole: Any, old: str, new: str) -> Any:
    """A new name keeps its place among the others where both stand side by side."""
    value = paths.found(whole, old)
    if value is paths.MISSING or old == new:
        return whole
    if isinstance(whole, dict) and old in whole and "." not in new:
        return {(new if key == old else key): item for key, item in whole.items() if key != new or key == old}
    return put(without(whole, old), new, value)


def _leads(place: str) -> str:
    if why := paths.wrong(place):
        raise setting(why)
    return place.strip()


def _all_lead(places: list[str]) -> list[str]:
    return [_leads(place) for place in places]


#: For a Config: one place, and several.
Place = Annotated[str, AfterValidator(_leads)]
Places = Annotated[list[str], AfterValidator(_all_lead)]


def _leads_if_any(place: str) -> str:
    return _leads(place) if place.strip() else ""


#: A place that may be left empty.
AnyPlace = Annotated[str, AfterValidator(_leads_if_any)]
