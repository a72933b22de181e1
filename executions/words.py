"""What each entry of the journal says to people. The entry keeps facts; this is the one place that speaks them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from executions.planner import Entry
from workflows import words

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


class Said(NamedTuple):
    """`word` wears the look of a status; `rest` and a time, if there is one, follow it."""

    word: str
    look: str = ""
    rest: str = ""
    at: datetime | None = None


def said(entry: Entry) -> Said:
    data = entry.data if isinstance(entry.data, dict) else {}
    speak = SPEAKERS.get(entry.kind)
    return speak(entry, data) if speak else Said(entry.kind.replace("_", " ").capitalize())


def _queued(entry: Entry, data: dict[str, Any]) -> Said:
    return Said("Queued", "pending", f"by {data['by']}" if data.get("by") else "")


def _started(entry: Entry, data: dict[str, Any]) -> Said:
    again = entry.node is not None and (entry.attempt or 1) > 1
    return Said("Started", "", f"again, attempt {entry.attempt}" if again else "")


def _completed(entry: Entry, data: dict[str, Any]) -> Said:
    took = f"in {words.duration(entry.took_ms)}" if entry.took_ms is not None else ""
    way = f"left by “{data['handle']}”" if data.get("handle") else ""
    return Said("Completed", "completed", ", ".join(filter(None, (took, way))))


def _failed(entry: Entry, data: dict[str, Any]) -> Said:
    error = data.get("error") or {}
    return Said("Failed", "failed", f"{error.get('type', 'Error')}: {error.get('message', '')}")


def _retried(entry: Entry, data: dict[str, Any]) -> Said:
    error = data.get("error") or {}
    return Said("Failed, will try again", "waiting", str(error.get("message", "")))


def _waited(entry: Entry, data: dict[str, Any]) -> Said:
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


def _reasoned(word: str, look: str) -> Callable[[Entry, dict[str, Any]], Said]:
    return lambda entry, data: Said(word, look, str(data.get("reason") or ""))


def _taken_over(entry: Entry, data: dict[str, Any]) -> Said:
    lost = data.get("nodes") or []
    again = f"{words.count(len(lost), 'step')} will start again" if lost else "nothing was lost"
    return Said("Taken over by another worker", "waiting", again)


def _cancel_requested(entry: Entry, data: dict[str, Any]) -> Said:
    return Said("Asked to cancel", "cancelled", f"by {data['by']}" if data.get("by") else "")


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
    "cancelled": _reasoned("Cancelled", "cancelled"),
    "abandoned": _reasoned("Abandoned", "waiting"),
    "taken_over": _taken_over,
    "cancel_requested": _cancel_requested,
    "finished": _finished,
}
