"""One line for one event, as key=value: for eyes and for machines alike."""

import json
import logging
import re
from datetime import UTC, datetime

from executions.tracing import current_execution

#: What a record may carry beside its text: `log.info("taken over", extra={"execution": 12})`.
CARRIED = ("execution", "incident", "node", "attempt", "worker", "took_ms", "status_code")

TRACEBACK_LENGTH = 4000

#: Addresses that let one in: what broke there is logged, and who reads the log must not be able to go there.
KEYS = re.compile(r"(/(?:callbacks/[^/\s]+/[^/\s]+|welcome/[^/\s]+)/)[^/\s]+")


class KeyValueFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "from": record.name,
        }
        facts["execution"] = current_execution.get()
        facts["incident"] = getattr(getattr(record, "request", None), "incident", None)  # quoted on the visitor's page
        facts |= {name: getattr(record, name) for name in CARRIED if getattr(record, name, None) is not None}
        facts["message"] = KEYS.sub(r"\1…", record.getMessage())
        if record.exc_info:
            facts["traceback"] = _tail(KEYS.sub(r"\1…", self.formatException(record.exc_info)))
        return " ".join(f"{name}={_value(value)}" for name, value in facts.items() if value is not None)


def _tail(traceback: str) -> str:
    """Its end says most; chained ones through a template run to pages."""
    return traceback if len(traceback) <= TRACEBACK_LENGTH else f"… {traceback[-TRACEBACK_LENGTH:]}"


def _value(value: object) -> str:
    """Quoted only where it must be: a text from outside can start no line of its own."""
    text = str(value)
    plain = bool(text) and text.isprintable() and not any(mark in text for mark in ' ="\\')
    return text if plain else json.dumps(text, ensure_ascii=False)
