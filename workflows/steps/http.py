"""http: calls another system, and takes in what it answers. What it sends and reads stands in workflows/http/."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any, Literal

from django.conf import settings
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from workflows.errors import AddressRefused, InputError
from workflows.http import body, failure, head, statuses
from workflows.http.answer import Answer
from workflows.http.request import Request, Sending
from workflows.http.showing import in_bytes, shown
from workflows.outgoing.addresses import LONGEST_URL
from workflows.outgoing.client import check_url
from workflows.steps import base
from workflows.steps.due import SaveAs
from workflows.steps.secret_name import SecretName

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
LARGE = 64 * 1024  # bytes, beyond which an answer is read in a thread
READS = ("GET", "HEAD", "OPTIONS")  # looked up with whatever somebody has typed
AUTH: dict[str, Any] = {
    "none": "none",
    "bearer": "bearer token",
    "basic": "user name and password",
    "header": "a header",
    "query": "a name in the query (others may log it)",
}
API, GRAPHQL = "https://api.example.com/", "https://api.example.com/graphql"
QUERY = {"query": "{ viewer { name } }", "variables": {}}
READ_AS: dict[str, Any] = {"automatic": "what it says that it is", "json": "JSON", "text": "text", "file": "a file"}


class Pair(BaseModel):
    """A name and its value. null: it is left out; a list: once for each item."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str = Field(title="Name", max_length=200)
    value: Any = Field("", title="Value", json_schema_extra={"look": "text"})


def _pairs(given: Any) -> Any:
    """An expression may give an object in place of rows."""
    return [{"name": name, "value": value} for name, value in given.items()] if isinstance(given, dict) else given


def _callable(url: str) -> str:
    try:
        check_url(url)
    except AddressRefused as error:
        raise ValueError(error.message) from None
    return url.strip()


def _checked(pairs: list[Pair]) -> list[Pair]:
    with _told_of_the_field():
        for pair in pairs:
            head.check(pair.name, pair.value)
    return pairs


def _readable(pairs: list[Pair]) -> list[Pair]:
    with _told_of_the_field():
        head.check_all((pair.name, pair.value) for pair in pairs)
    return pairs


@contextmanager
def _told_of_the_field() -> Iterator[None]:
    """A sentence about one pair gets the name of all of them: “Query: …”."""
    try:
        yield
    except ValueError as error:
        why = str(error).removesuffix(".")
        raise PydanticCustomError("field", "{why}", {"why": why}) from None


def _statuses(text: str) -> str:
    statuses.parse(text)
    return text


Pairs = Annotated[list[Pair], BeforeValidator(_pairs), Field(max_length=100)]


class Config(base.Config):
    method: Method = Field("GET", description="GET reads; the others but HEAD and OPTIONS change something there.")
    url: Annotated[str, AfterValidator(_callable)] = Field(
        title="URL",
        max_length=LONGEST_URL,
        description="Such as https://api.example.com/orders.",
        json_schema_extra={"look": "text"},
    )
    query: Annotated[Pairs, AfterValidator(_readable)] = Field(
        [], description="What stands behind “?” in the URL. An empty value is sent, null is not."
    )
    headers: Annotated[Pairs, AfterValidator(_checked)] = Field([], description="Besides those that it sends anyway.")
    body: Literal["none", "json", "form", "text", "file"] = Field(
        "none", description="What goes along.", json_schema_extra={"words": {"json": "JSON", "file": "a file"}}
    )
    content: Any = Field(
        None,
        validate_default=True,
        description="An object or a list for JSON, an object of names and values for a form, a path for a file.",
        json_schema_extra={"look": "json", "when": {"body": ["json", "form", "text", "file"]}},
    )
    auth: Literal["none", "bearer", "basic", "header", "query"] = Field(
        "none", title="Sign in by", description="How the secret goes along.", json_schema_extra={"words": AUTH}
    )
    auth_name: str = Field(
        "",
        title="User name, or name of the header",
        description="Such as X-API-Key.",
        max_length=200,
        validate_default=True,
        json_schema_extra={"when": {"auth": ["basic", "header", "query"]}},
    )
    secret: SecretName = Field(
        "",
        validate_default=True,
        description="The token or password, by its name.",
        json_schema_extra={"look": "secret", "when": {"auth": ["bearer", "basic", "header", "query"]}},
    )
    timeout_s: float = Field(
        30, gt=0, title="Time limit", description="Seconds for all of it, redirects and the whole answer included."
    )
    expect: Annotated[str, AfterValidator(_statuses)] = Field(
        "2xx", title="Expected statuses", max_length=100, description="Such as 2xx, or 200, 404. Others are failures."
    )
    answer: Literal["automatic", "json", "text", "file"] = Field(
        "automatic",
        title="Read the answer as",
        description="JSON and text come into the data, anything else becomes a file of the workflow.",
        json_schema_extra={"words": READ_AS},
    )
    file: str = Field(
        "",
        title="Path of the file",
        max_length=500,
        description="In the workflow's files. Empty: as the other side calls it, in a folder of this step.",
        json_schema_extra={"look": "text", "when": {"answer": ["automatic", "file"]}},
    )
    save_as: SaveAs = "response"
    follow: bool = Field(True, title="Follow redirects", description="At most five.")
    idempotency: bool = Field(
        True,
        title="Send an idempotency key",
        description="The same header Idempotency-Key in every attempt.",
        json_schema_extra={"when": {"method": ["POST", "PUT", "PATCH", "DELETE"]}},
    )
    repeat: bool = Field(
        False,
        title="Repeat even if it may have been done",
        description="Without that key: where the connection broke, or the answer was 5xx.",
        json_schema_extra={"when": {"method": ["POST", "PATCH"]}},
    )

    @field_validator("content")
    @classmethod
    def _fits_the_body(cls, content: Any, info: ValidationInfo) -> Any:
        body.check(info.data.get("body", "none"), content)
        return content

    @field_validator("auth_name")
    @classmethod
    def _is_named(cls, name: str, info: ValidationInfo) -> str:
        if info.data.get("auth") in ("header", "query") and not name:
            raise ValueError("Say by which name the secret goes along, such as X-API-Key.")
        if info.data.get("auth") == "header":
            head.check(name, "")
        if info.data.get("auth") == "basic" and ":" in name:
            raise ValueError("A user name cannot hold a colon here; the password comes from the secret.")
        return name

    @field_validator("secret")
    @classmethod
    def _is_chosen(cls, secret: str, info: ValidationInfo) -> str:
        if info.data.get("auth", "none") != "none" and not secret:
            raise ValueError("Choose a secret to sign in by, or “none” above.")
        return secret

    @field_validator("timeout_s")
    @classmethod
    def _is_short_enough(cls, seconds: float) -> float:
        if not seconds <= settings.HTTP_SECONDS:
            raise ValueError(f"Time limit may be at most {settings.HTTP_SECONDS} seconds (HTTP_SECONDS).")
        return seconds


class Http(base.Step[Config]):
    kind, label, icon = "http", "HTTP request", "http"
    help = "Calls another system: an API, a webhook, a web page, a file."
    also = "url fetch curl rest put notify slack telegram discord"
    group, page = "Reach out", "http.md"
    gives = 'the data and `{"response": {"status", "headers", "body", "url", "took_ms"}}`'
    effects = "outside"
    example = {
        "url": "https://api.example.com/orders",
        "query": [{"name": "search", "value": "{{ input.text }}"}],
        "answer": "json",
        "save_as": "orders",
    }
    literal = frozenset({"secret"})
    presets = (
        base.Preset("Get JSON", {"url": API, "answer": "json"}),
        base.Preset("Post JSON", {"method": "POST", "url": API, "body": "json", "content": {}}),
        base.Preset("Download a file", {"url": "https://example.com/file.pdf", "answer": "file"}),
        base.Preset("GraphQL", {"method": "POST", "url": GRAPHQL, "body": "json", "content": QUERY}),
    )
    Config = Config

    @classmethod
    def effects_of(cls, data: Mapping[str, Any]) -> base.Effects:
        return "none" if data.get("method", "GET") in READS else "outside"

    async def run(self, ctx: base.StepContext) -> base.Done:
        config, request = self.config, await self._request(ctx)
        may_repeat = config.repeat or request.method in failure.REPEATABLE or head.has_key(request.headers)
        ctx.log(request.shown)
        sending = Sending(request, ctx.log)
        try:
            answer = await sending.answer(config.timeout_s)
        except Exception as error:
            raise failure.of_error(error, sending, config.timeout_s, may_repeat) from error
        ctx.log(f"{answer.line}, {in_bytes(len(answer.body))} in {answer.took_ms:,} ms")
        if not any(answer.status in some for some in statuses.parse(config.expect)):
            raise failure.of_status(answer, sending, may_repeat)
        try:
            taken = await self._taken(answer, ctx)
        except InputError as error:
            raise failure.of_body(error, answer, sending, may_repeat) from None
        response = {
            "status": answer.status,
            "headers": answer.headers,
            "body": taken,
            "url": shown(answer.url, request.hidden),
            "took_ms": answer.took_ms,
        }
        return base.Done({**ctx.data, config.save_as: response})

    async def _request(self, ctx: base.StepContext) -> Request:
        config = self.config
        url = check_url(config.url)
        content, content_type = await self._body(ctx)
        headers = head.made([(pair.name, pair.value) for pair in config.headers], content_type)
        query = [(pair.name, pair.value) for pair in config.query]
        if config.idempotency and config.method not in READS and not head.has_key(headers):
            headers = (*headers, (head.IDEMPOTENCY, head.key(ctx.idempotency_key)))
        if config.auth != "none":
            if url.scheme == "http":
                ctx.log("The secret goes by http, where everybody on the way can read it.", "warning")
            value = await ctx.secret(config.secret, head.host_of(url))
            headers, query = head.signed(headers, query, config.auth, config.auth_name, value)
        hidden = config.auth_name if config.auth == "query" else ""
        return Request(config.method, head.with_query(url, query), headers, content, config.follow, hidden, ctx.hide)

    async def _body(self, ctx: base.StepContext) -> tuple[bytes, str]:
        made = partial(body.made, self.config.body, self.config.content, ctx.files)
        return await asyncio.to_thread(made) if self.config.body == "file" else made()

    async def _taken(self, answer: Answer, ctx: base.StepContext) -> Any:
        """Its body for the data. Raises InputError where it was to be JSON, and is not."""
        reading = answer.reading if self.config.answer == "automatic" else self.config.answer
        if reading == "file":
            path = self.config.file.strip() or f"http/{_folder(ctx.idempotency_key)}/{answer.file_name}"
            return await asyncio.to_thread(ctx.files.save, path, answer.body, answer.content_type)
        if reading == "nothing" or not answer.body:
            return None if reading != "text" else ""
        is_large = len(answer.body) > LARGE
        return await asyncio.to_thread(getattr, answer, reading) if is_large else getattr(answer, reading)


def _folder(key: str) -> str:
    """ "12:fetch:0" -> "12-fetch": executions beside each other do not write over each other's files."""
    return "-".join(key.split(":")[:2])
