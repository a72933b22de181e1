"""The API's own page, /api/docs, written by the server from the same OpenAPI that /api/openapi.json gives out.

A page like any other of ours: it needs no script, follows the theme, and every operation has an address.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from ninja import NinjaAPI
from ninja.openapi.docs import DocsBase

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """Something that goes in or comes out. `place` is path, query, header or body; empty for what comes out."""

    name: str
    type: str
    about: SafeString
    place: str = ""
    is_required: bool = False
    default: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    method: str
    path: str
    title: str
    about: SafeString
    group: str
    takes: list[Field] = field(default_factory=list)
    gives: list[Field] = field(default_factory=list)
    status: str = ""

    @property
    def has_body(self) -> bool:
        return any(one.place == "body" for one in self.takes)

    @property
    def anchor(self) -> str:
        return self.title.lower().replace(" ", "-")


class Page(DocsBase):
    def render_page(self, request: HttpRequest, api: NinjaAPI, **kwargs: Any) -> HttpResponse:
        context = {"operations": list(operations(api.get_openapi_schema())), "address": address(request)}
        return render(request, "api_docs.html", context)


def address(request: HttpRequest) -> str:
    return f"{request.scheme}://{request.get_host()}"


def operations(schema: Json) -> Iterator[Operation]:
    known = schema["components"]["schemas"]
    for path, methods in schema["paths"].items():
        for method, told in methods.items():
            status, answer = _success(told["responses"], known)
            yield Operation(
                method=method.upper(),
                path=path,
                title=told["summary"].capitalize(),
                about=_said(told.get("description", "")),
                group=told["tags"][0],
                takes=[*_parameters(told, known), *_fields(_body(told, known), known, "body")],
                gives=list(_fields(answer, known)),
                status=status,
            )


def _success(responses: dict[Any, Json], known: Json) -> tuple[str, Json]:
    code, answer = next(pair for pair in responses.items() if str(pair[0]).startswith("2"))
    return f"{code} {answer['description']}", _schema(answer, known)


def _body(told: Json, known: Json) -> Json:
    return _schema(told.get("requestBody", {}), known)


def _schema(holder: Json, known: Json) -> Json:
    return _named(holder.get("content", {}).get("application/json", {}).get("schema", {}), known)


def _named(schema: Json, known: Json) -> Json:
    return known[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def _parameters(told: Json, known: Json) -> Iterator[Field]:
    for one in told.get("parameters", []):
        yield _field(one["name"], one["schema"], known, one["in"], one.get("required", False))


def _fields(schema: Json, known: Json, place: str = "") -> Iterator[Field]:
    for name, one in schema.get("properties", {}).items():
        yield _field(name, one, known, place, name in schema.get("required", ()))


def _field(name: str, schema: Json, known: Json, place: str, is_required: bool) -> Field:
    default = "" if schema.get("default") in (None, "", [], {}) else json.dumps(schema["default"])
    about = schema.get("description") or _named(schema, known).get("description", "")
    return Field(name, _type(schema, known), _said(about), place, is_required, default)


def _said(text: str) -> SafeString:
    """Its `words in code` as such."""
    parts = enumerate(text.split("`"))
    return format_html_join(
        "", "{}", ((format_html("<code>{}</code>", part) if at % 2 else part,) for at, part in parts)
    )


def _type(schema: Json, known: Json) -> str:
    """In a word: integer, string or null, list of WorkflowSummary, one of a, b, c."""
    if "$ref" in schema:
        named = _named(schema, known)
        return _type(named, known) if "enum" in named else str(named["title"])
    if "anyOf" in schema:
        return " or ".join(_type(one, known) for one in schema["anyOf"])
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}), known)}"
    return str(schema.get("format") or schema.get("type", "any value"))
