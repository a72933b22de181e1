"""What went wrong with a request, in words for people, and whether it is worth another attempt."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html import unescape
from typing import Any

from workflows.errors import AddressRefused, AnswerTooLarge, InputError, WorkflowStepError
from workflows.http.answer import Answer
from workflows.http.head import has_key
from workflows.http.request import Sending
from workflows.http.showing import in_short

#: May be sent any number of times by their own meaning (RFC 9110).
REPEATABLE = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE"))
#: By these the other side says that it has done nothing yet.
UNDONE = frozenset((408, 425, 429, 503))
LASTING = frozenset((501, 505, 511))  # of the 5xx: they stay as they are
MOST_RETRY_AFTER_S = 86_400.0
MESSAGE, BODY = 300, 2_000  # characters
READ = 64 * 1024  # bytes in which a reason is looked for
TITLE = re.compile(r"<(title|h1)\b[^>]{0,200}>(.{0,500}?)</\1", re.IGNORECASE | re.DOTALL)  # bounded: it is not ours
TAG = re.compile(r"<[^>]*>")


def of_status(answer: Answer, sending: Sending, may_repeat: bool) -> WorkflowStepError:
    """The status is none of those that were expected."""
    answer = replace(answer, body=answer.body[:READ])
    request, url = sending.request, in_short(answer.url, sending.request.hidden)
    text = f"{request.method} {url} answered {answer.line}"
    told = message_of(answer) or _onward(answer, request.hidden)
    text = f"{text}: {told}" if told else f"{text}."
    passes = answer.status in UNDONE or answer.status == 423 or (answer.status >= 500 and answer.status not in LASTING)
    if answer.status == 409:  # with a key: the first request is still at work; else a conflict that stays
        passes = has_key(request.headers)
    is_worth_it = passes and (may_repeat or answer.status in UNDONE)
    if passes and not is_worth_it:
        text = f"{text} {_not_again(request.method)}"
    details = {"status": answer.status, "url": url, "body": _shown(answer)}
    wait = retry_after_s(answer.headers) if is_worth_it else None
    return WorkflowStepError(text, details, is_permanent=not is_worth_it, retry_after_s=wait)


def of_error(error: Exception, sending: Sending, within_s: float, may_repeat: bool) -> WorkflowStepError:
    """No whole answer came."""
    request = sending.request
    is_lasting = getattr(error, "is_permanent", False) or _is_lasting(error)
    text = f"{request.shown}: {_reason(error, sending, within_s)}"
    is_safe = may_repeat or not sending.was_sent
    if not is_lasting and not is_safe:
        text = f"{text} {_not_again(request.method)}"
    return WorkflowStepError(text, {"was_sent": sending.was_sent}, is_permanent=is_lasting or not is_safe)


def of_body(error: InputError, answer: Answer, sending: Sending, may_repeat: bool) -> WorkflowStepError:
    """It was to be JSON, and is not."""
    what = f"“{answer.content_type}”" if answer.content_type else "no content type"
    answer = replace(answer, body=answer.body[:READ])
    text = f"{sending.request.shown} answered {answer.line} with {what}, and not with JSON: {error.message}"
    details = {"status": answer.status, "body": answer.text[:BODY]}
    return WorkflowStepError(text, details, is_permanent=not may_repeat)


def _shown(answer: Answer) -> Any:
    """A short answer as the JSON that it is, else how its text begins."""
    try:
        return answer.json if answer.reading == "json" and len(answer.body) <= BODY else answer.text[:BODY]
    except InputError:
        return answer.text[:BODY]


def message_of(answer: Answer) -> str:
    """The other side's own words, short and in one line; empty where it has none."""
    try:
        words: Any = _from_json(answer.json) if answer.body.lstrip()[:1] in (b"{", b"[", b'"') else ""
    except InputError:
        words = ""
    if not words and "html" in answer.content_type:
        found = TITLE.search(answer.text[:20_000])
        words = unescape(TAG.sub(" ", found[2])) if found else ""
    elif not words and answer.reading == "text":
        words = answer.text[: MESSAGE * 2]
    line = answer.hide(" ".join("".join(sign if sign.isprintable() else " " for sign in words).split()))
    return line if len(line) <= MESSAGE else f"{line[:MESSAGE]}…"


def retry_after_s(headers: dict[str, str]) -> float | None:
    """Seconds, from “120” or from a date; None where it says none that can be read. A day at the most."""
    given = headers.get("retry-after", "")[:100].strip()
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?", given):
        return min(float(given), MOST_RETRY_AFTER_S)
    at = _moment(given)
    if at is None:
        return None
    now = _moment(headers.get("date", "")) or datetime.now(UTC)  # by its own clock, where it tells us
    return min(max(0.0, (at - now).total_seconds()), MOST_RETRY_AFTER_S)


def _moment(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _from_json(value: Any, depth: int = 0) -> str:
    """As most interfaces have it: error.message, message, detail, title, errors[0] …"""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and depth < 4:
        return _from_json(value[0], depth + 1)
    if isinstance(value, dict) and depth < 4:
        return next(_words(value, depth), "")
    return ""


NAMES = (
    "message",
    "error_description",
    "error",
    "detail",
    "errors",
    "msg",
    "description",
    "title",
    "reason",
    "fault",
    "faultstring",
)


def _words(value: dict[str, Any], depth: int) -> Iterator[str]:
    by_name = {str(name).lower(): item for name, item in value.items()}
    for name in NAMES:
        if words := _from_json(by_name.get(name), depth + 1):
            yield words
    if depth:  # {"errors": {"email": ["is taken"]}}
        for name, item in list(value.items())[:3]:
            if isinstance(item, str | list) and (words := _from_json(item, depth + 1)):
                yield f"{name}: {words}"


def _onward(answer: Answer, hidden: str) -> str:
    """Where it would have gone on, had it been followed."""
    location = answer.headers.get("location") if 300 <= answer.status < 400 else None
    return f"it sends on to {in_short(location, hidden)}" if location else ""


def _not_again(method: str) -> str:
    return f"It may have been done, and {method} without an idempotency key is not repeated."


def _is_lasting(error: Exception) -> bool:
    import httpx

    lasting = httpx.LocalProtocolError | httpx.UnsupportedProtocol | httpx.InvalidURL | AddressRefused | AnswerTooLarge
    return isinstance(error, lasting) or _certificate(error) is not None or _is_bad_location(error)


def _is_bad_location(error: Exception) -> bool:
    """httpx looks at where a redirect leads, even where it is told not to follow any."""
    import httpx

    return isinstance(error, httpx.InvalidURL) or "URL in location header" in str(error)


def _reason(error: Exception, sending: Sending, within_s: float) -> str:
    import httpx

    if wrong := _certificate(error):
        return f"its certificate is not believed: {wrong.verify_message}."
    if _is_bad_location(error):
        return f"it was sent on to what is no URL ({_plain(error)})."
    match error:
        case WorkflowStepError():
            return error.message
        case TimeoutError():
            where = "no whole answer" if sending.was_sent else "no connection"
            return f"{where} within {within_s:g} s."
        case httpx.ConnectTimeout():
            return "nobody answered in time at that address."
        case httpx.ConnectError():
            return f"it cannot be connected to: nothing answers there, or it refuses ({_plain(error)})."
        case httpx.ReadError() | httpx.WriteError() | httpx.RemoteProtocolError():
            return f"the connection broke before the answer was whole ({_plain(error)})."
        case _:
            return f"{_plain(error)}."


def _certificate(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _plain(error: BaseException) -> str:
    return str(error).strip(" .")[:200] or type(error).__name__
