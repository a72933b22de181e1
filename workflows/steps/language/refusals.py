"""What a provider's failure means for a step: its own words, and whether trying again can help."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import httpx2
from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelHTTPError,
    ModelQuotaExceededError,
    UnexpectedModelBehavior,
    UserError,
)

from workflows.errors import WorkflowStepError
from workflows.steps.base import Usage
from workflows.steps.language.endpoint import Endpoint

Hide = Callable[[str], str]
UNREACHED = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
AGAIN = {408, 409, 425, 429}  # and everything from 500: the same request may well be answered later
MOST_WORDS = 500
MOST_WAIT_S = 24 * 3600.0  # a server that asks for more means something else
MEANINGS = {
    401: "the key was not accepted",
    403: "the key may not do this",
    404: "there is no such model or address",
    429: "too many requests",
    529: "it is overloaded",
}


def refusal(error: Exception, endpoint: Endpoint, hide: Hide) -> WorkflowStepError:
    """`hide`: takes the key out of the provider's words, should it repeat it."""
    ours = next((one for one in _chain(error) if isinstance(one, WorkflowStepError)), None)
    if ours is not None:
        ours.__cause__, ours.__context__ = None, None
        return ours
    if isinstance(error, ModelHTTPError) and error.status_code >= 400:
        return _of_status(error, endpoint, hide)
    words = _last_words(error, hide)
    if any(isinstance(one, UNREACHED) for one in _chain(error)):
        return WorkflowStepError(f"{endpoint.host} could not be reached: {words}")
    if isinstance(error, ModelAPIError | UnexpectedModelBehavior):
        return WorkflowStepError(f"The answer of {endpoint.host} broke off, or cannot be read: {words}")
    is_ours = isinstance(error, UserError | TypeError)
    return WorkflowStepError(f"{endpoint.name} cannot be asked like this: {words}", is_permanent=is_ours)


def with_usage(error: WorkflowStepError, usage: Usage | None) -> WorkflowStepError:
    """What an attempt used is spent, though it failed."""
    if usage is not None and usage.tokens:
        error.details = {**error.details, "usage": asdict(usage)}
    return error


def _of_status(error: ModelHTTPError, endpoint: Endpoint, hide: Hide) -> WorkflowStepError:
    status, said = error.status_code, _said(error.body, hide)
    meaning = MEANINGS.get(status, "")
    message = f"{endpoint.host} answered {status}{f', {meaning}' if meaning else ''}{f': {said}' if said else ''}"
    is_hopeless = isinstance(error, ModelQuotaExceededError) or (status < 500 and status not in AGAIN)
    wait = error.retry_after
    return WorkflowStepError(
        message if message.endswith((".", "!", "?")) else f"{message}.",
        {"status": status, "model": endpoint.name, "host": endpoint.host},
        is_permanent=is_hopeless,
        retry_after_s=min(wait, MOST_WAIT_S) if wait is not None and not is_hopeless else None,
    )


def _said(body: Any, hide: Hide) -> str:
    """The message in an error's body, whichever of the usual shapes it has."""
    for inner in (body.get("error"), body) if isinstance(body, dict) else (body,):
        keys = ("message", "detail", "error", "title")
        said = next((inner[key] for key in keys if inner.get(key)), None) if isinstance(inner, dict) else inner
        if isinstance(said, str) and said.strip():
            return _short(hide(said))
    return ""


def _last_words(error: BaseException, hide: Hide) -> str:
    """Of the innermost that has any: what wraps it says little."""
    return _short(hide([*(str(one) for one in _chain(error) if str(one).strip()), type(error).__name__][-2:][0]))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MOST_WORDS else f"{text[:MOST_WORDS]} …"
