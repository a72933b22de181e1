"""What each entry of the journal says to people. The entry keeps facts; this is the one place that speaks them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from executions.planner import Entry
from workflows import words
from workflows.graph import OUT

#: An execution's status -> the word for people. "cancelling" is running or waiting, and asked to stop.
STATUS = {
    "pending": "Pending",
    "running": "Running",
    "waiting": "Waiting",
    "cancelling": "Cancelling…",
    "completed": "Completed",
    "failed": "Failed",
    "cancelled": "Cancelled",
}


#: A sentence for people: texts, numbers of executions, and moments. A page makes links and times of the latter two.
Sentence = tuple[str | int | datetime, ...]


def plain(sentence: Sentence) -> str:
    """For who reads no page: "Held by #41 until 2026-11-24 12:03:00 UTC"."""
    return "".join(_plain(part) for part in sentence)


def _plain(part: str | int | datetime) -> str:
    if isinstance(part, datetime):
        return f"{part.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return f"#{part}" if isinstance(part, int) else part


class Said(NamedTuple):
    """`word` wears the look of a status; `rest` and a time, if there is one, follow it."""

    word: str
    look: str = ""
    rest: str = ""
    at: datetime | None = None


def said(
    entry: Entry, name: Callable[[str], str] = str, way: Callable[[str, str], str] = lambda node_id, handle: handle
) -> Said:
    """`name`: gives the label of a step, `way` what people call a handle of it."""
    data = entry.data if isinstance(entry.data, dict) else {}
    if entry.node and data.get("handle", OUT) != OUT:
        data = {**data, "handle": way(entry.node, data["handle"])}
    if entry.kind == "paused" and data.get("before"):
        return Said("Paused", "waiting", f"before “{name(data['before'])}”{_since(data)}")
    speak = SPEAKERS.get(entry.kind)
    return speak(entry, data) if speak else Said(entry.kind.replace("_", " ").capitalize())


def _since(data: dict[str, Any]) -> str:
    """No person wished it, so it says why."""
    return f": {data['reason']}" if data.get("reason") else ""


def _queued(entry: Entry, data: dict[str, Any]) -> Said:
    told = f"by {data['by']}" if data.get("by") else ""
    return Said("Queued", "pending", f"since #{data['failure_of']} failed" if data.get("failure_of") else told)


def _started(entry: Entry, data: dict[str, Any]) -> Said:
    again = entry.node is not None and (entry.attempt or 1) > 1
    return Said("Started", "", f"again, attempt {entry.attempt}" if again else "")


def _completed(entry: Entry, data: dict[str, Any]) -> Said:
    took = f"in {words.duration(entry.took_ms)}" if entry.took_ms is not None else ""
    way = f"left by “{data['handle']}”" if data.get("handle") else ""
    return Said("Completed", "completed", ", ".join(filter(None, (took, way))))


def _failed(entry: Entry, data: dict[str, Any]) -> Said:
    error = data.get("error") or {}
    told = f"{error.get('type', 'Error')}: {error.get('message', '')}"
    return Said("Failed", "failed", f"{told.rstrip('. ')}; {went_on(data['handle'])}" if "handle" in data else told)


def went_on(handle: str) -> str:
    """Of a step that failed while its policy let the execution go on."""
    return "it went on all the same" if handle == OUT else f"it went on by “{handle}”"


def _retried(entry: Entry, data: dict[str, Any]) -> Said:
    message = str((data.get("error") or {}).get("message", "")).rstrip(". ")
    number = int(data.get("failures", 1)) + 1
    until = datetime.fromisoformat(data["until"]) if data.get("until") else None
    of = f" of {data['of']}" if data.get("of") else ""
    return Said("Failed:", "failed", f"{message}; attempt {number}{of} at", until)


def _waited(entry: Entry, data: dict[str, Any]) -> Said:
    if data.get("kind") == "child":
        return Said("Waiting", "waiting", _for_children(data))
    until = datetime.fromisoformat(data["until"]) if data.get("until") else None
    named = ", ".join(map(str, (data.get("people") or []) + (data.get("groups") or [])))
    match data.get("kind"):
        case "approval":
            awaited = f"for approval by {named}" if named else "for approval"
        case "callback":
            awaited = "for a call"
        case _:
            awaited = "" if until else f"for an answer: {data['reason']}" if data.get("reason") else "for an answer"
    return Said("Waiting", "waiting", " ".join(filter(None, (awaited, "until" if until else ""))), until)


def _for_children(data: dict[str, Any]) -> str:
    if "each" not in data:
        return "for the workflow that it calls"
    many = f", {data['parallel']} at a time" if data.get("parallel") else ""
    return f"for {words.count(data['each'], 'item')}{many}"


def _answered(entry: Entry, data: dict[str, Any]) -> Said:
    if data.get("due"):
        return (
            Said("Expired", "cancelled", "nobody answered in time") if data.get("kind") == "approval" else _over(data)
        )
    if data.get("kind") == "callback":
        return Said("Called", "completed")
    by = f"by {data['by']}" if data.get("by") else ""
    answer = data.get("answer")
    if data.get("kind") != "approval" or not isinstance(answer, dict):
        return Said("Answered", "completed", by) if by else Said("The wait is over", "completed")
    comment = str(answer.get("comment") or "")
    rest = f"{by}: {comment}" if comment else by
    return Said("Approved", "completed", rest) if answer.get("approved") else Said("Rejected", "failed", rest)


def _over(data: dict[str, Any]) -> Said:
    if data.get("kind") == "callback":
        return Said("Expired", "cancelled", "no call came in time")
    return Said("The wait is over", "completed")


def _by(word: str, look: str) -> Callable[[Entry, dict[str, Any]], Said]:
    return lambda entry, data: Said(word, look, f"by {data['by']}" if data.get("by") else "")


def _limited(entry: Entry, data: dict[str, Any]) -> Said:
    if data.get("limit") == "log":
        kept = f"{int(data.get('value') or 0):,} bytes are kept, further lines are not"
        return Said("The log is full:", "waiting", f"{kept}. ENGINE_LOG_BYTES allows more")
    message = (data.get("error") or {}).get("message")
    return Said("A limit was reached:", "failed", message or f"{data.get('limit')}, {data.get('value')}")


def _repaired(entry: Entry, data: dict[str, Any]) -> Said:
    how = "it is tried again as it was"
    if "output" in data:
        how = "it is left out, with the output that was given"
    elif "input" in data:
        how = "it is tried again with another input"
    who = f"by {data['by']}, " if data.get("by") else ""
    return Said("Repaired", "completed", f"{who}{how}: {data['reason']}" if data.get("reason") else f"{who}{how}")


def _cancelled(entry: Entry, data: dict[str, Any]) -> Said:
    after = f"after {words.duration(entry.took_ms)}" if entry.took_ms is not None else ""
    return Said("Cancelled", "cancelled", ": ".join(filter(None, (after, str(data.get("reason") or "")))))


def _reasoned(word: str, look: str) -> Callable[[Entry, dict[str, Any]], Said]:
    return lambda entry, data: Said(word, look, str(data.get("reason") or ""))


def _taken_over(entry: Entry, data: dict[str, Any]) -> Said:
    lost = data.get("nodes") or []
    again = f"{words.count(len(lost), 'step')} will start again" if lost else "nothing was lost"
    return Said("Taken over by another worker", "waiting", again)


def _finished(entry: Entry, data: dict[str, Any]) -> Said:
    status = str(data.get("status", ""))
    return Said("Finished:", status, STATUS.get(status, status).lower())


SPEAKERS: dict[str, Callable[[Entry, dict[str, Any]], Said]] = {
    "queued": _queued,
    "started": _started,
    "completed": _completed,
    "reused": _reasoned("Reused from an earlier execution", "completed"),
    "failed": _failed,
    "retried": _retried,
    "waited": _waited,
    "answered": _answered,
    "skipped": lambda entry, data: Said("Skipped", "skipped", "no branch led here"),
    "cancelled": _cancelled,
    "paused": _by("Paused", "waiting"),
    "resumed": _by("Resumed", "running"),
    "repaired": _repaired,
    "limited": _limited,
    "abandoned": _reasoned("Abandoned", "waiting"),
    "taken_over": _taken_over,
    "cancel_requested": _by("Asked to cancel", "cancelled"),
    "finished": _finished,
}
