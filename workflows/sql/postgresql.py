"""PostgreSQL: one prepared statement in a transaction that is READ ONLY unless it may write, with its time limit."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from workflows.errors import WorkflowStepError
from workflows.sql.result import CHUNK, Result, gathered

CONNECT_S, AGAIN_S = 10, 0.1
LONGEST = 1_000  # characters of the database's own words


class Driver:
    def __init__(
        self, name: str, about: Mapping[str, Any], sql: str, parameters: Any, writes: bool, most: int, timeout_s: float
    ) -> None:
        self.name, self._about = name, about
        self.sql, self.parameters, self.writes, self.most, self.timeout_s = sql, parameters, writes, most, timeout_s
        self._connection: psycopg.Connection[Any] | None = None
        self._is_stopped = threading.Event()
        self._until = 0.0

    def stop(self) -> None:
        self._is_stopped.set()
        if connection := self._connection:
            threading.Thread(target=_cancel, args=[connection], name="sql cancel", daemon=True).start()

    def execute(self) -> Result:
        self._until = time.monotonic() + self.timeout_s
        try:
            with contextlib.closing(self._connected()) as self._connection:
                if self._is_stopped.is_set():  # before there was a connection to be cancelled
                    raise psycopg.errors.QueryCanceled
                return self._result(self._connection)
        except psycopg.Error as error:
            raise self._failure(error) from None

    def _connected(self) -> psycopg.Connection[Any]:
        about = self._about
        options = {key: value for key, value in about.get("OPTIONS", {}).items() if key in PASSED_ON}
        known = {"dbname": about["NAME"], "user": about["USER"], "password": about["PASSWORD"]}
        known |= {"host": about["HOST"], "port": about["PORT"], "connect_timeout": CONNECT_S}
        given = {key: value for key, value in known.items() if value not in ("", None)}
        return psycopg.connect(**{**options, **given}, application_name="stepstream sql", autocommit=True)

    def _result(self, connection: psycopg.Connection[Any]) -> Result:
        limit = max(1, round(self.timeout_s * 1_000))
        connection.execute(f"BEGIN {'READ WRITE' if self.writes else 'READ ONLY'}")
        connection.execute(f"SET LOCAL statement_timeout = {limit}; SET LOCAL lock_timeout = {limit}")
        if not self.writes:
            connection.execute("SAVEPOINT stays_read_only")  # inside of one, nobody makes it READ WRITE again
        cursor = self._cursor(connection)
        columns = [column.name for column in cursor.description or ()]
        result = gathered(columns, self._chunks(cursor), self.most) if columns else Result()
        if self.writes:
            result.changed = max(0, cursor.rowcount)
            connection.execute("COMMIT")
        return result

    def _cursor(self, connection: psycopg.Connection[Any]) -> psycopg.Cursor[Any]:
        """Prepared, and so one statement alone: a second one behind “;” would end the transaction that protects.
        Rows of a reading come in parts, so that what nobody asked for is not held in memory."""
        word, given = _first_word(self.sql), _bound(self.parameters)
        self._require_allowed(word)
        if self.writes or word not in QUERIES:
            return connection.execute(self.sql, given, prepare=True)
        cursor: psycopg.ServerCursor[Any] = psycopg.ServerCursor(connection, "asked")
        return cursor.execute(self.sql, given)

    def _require_allowed(self, word: str) -> None:
        """What reaches beyond tables, for a role that may do it; the database itself refuses the rest."""
        if word in ("COPY", "LOAD") or (word in BEYOND and not self.writes):
            text = f"“{self.name}” refused the statement: {word} is not allowed here"
            raise WorkflowStepError(f"{text}{'' if self.writes else ', where it is only read'}.", is_permanent=True)

    def _chunks(self, cursor: psycopg.Cursor[Any]) -> Iterator[list[Any]]:
        """statement_timeout begins anew with each part."""
        while chunk := cursor.fetchmany(CHUNK):
            if time.monotonic() > self._until or self._is_stopped.is_set():
                raise psycopg.errors.QueryCanceled
            yield chunk

    def _failure(self, error: psycopg.Error) -> WorkflowStepError:
        if isinstance(error, psycopg.errors.QueryCanceled | psycopg.errors.LockNotAvailable):
            return WorkflowStepError(f"“{self.name}” took longer than {self.timeout_s:g} s, and was interrupted.")
        words, details = self._words(error), {"sqlstate": error.sqlstate} if error.sqlstate else {}
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            return WorkflowStepError(f"“{self.name}” could not do it: {words}", details)
        return WorkflowStepError(f"“{self.name}” refused the statement: {words}", details, is_permanent=True)

    def _words(self, error: psycopg.Error) -> str:
        diagnosis = error.diag
        told = [diagnosis.message_primary, diagnosis.message_detail, diagnosis.message_hint]
        text = " ".join(part.strip().rstrip(".") + "." for part in told if part) or f"{error}".strip()
        if position := diagnosis.statement_position:
            text = f"{text} {self._place(int(position))}"
        password = self._about["PASSWORD"]
        return (text.replace(password, "••••") if password else text)[:LONGEST]

    def _place(self, position: int) -> str:
        """Of a mistake in the text; what stands for parameters has another width than what was written."""
        is_declared = not self.writes and _first_word(self.sql) in QUERIES
        before = self.sql[: position - 1 - (len(DECLARE) if is_declared else 0)]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return f"(line {line}, column {column})" if self.parameters is None else f"(line {line})"


DECLARE = 'DECLARE "asked" CURSOR FOR '  # which psycopg puts before the text of a reading
QUERIES = ("SELECT", "WITH", "VALUES", "TABLE")
BEYOND = (
    "DO",
    "CALL",
    "SET",
    "RESET",
    "LISTEN",
    "NOTIFY",
    "LOCK",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "END",
    "ABORT",
    "PREPARE",
)
FIRST_WORD = re.compile(r"(?:\s|\(|--[^\n]*(?:\n|$)|/\*(?:[^*]|\*(?!/))*\*/)*([A-Za-z]+)")
PASSED_ON = ("sslmode", "sslrootcert", "sslcert", "sslkey", "service", "passfile", "options", "target_session_attrs")


def _cancel(connection: psycopg.Connection[Any]) -> None:
    """Until it is closed: the server forgets what comes between two statements."""
    while not connection.closed:
        with contextlib.suppress(psycopg.Error, OSError):
            connection.cancel()
        time.sleep(AGAIN_S)


def _bound(parameters: Any) -> Any:
    if isinstance(parameters, Mapping):
        return {name: _value(value) for name, value in parameters.items()}
    return None if parameters is None else [_value(value) for value in parameters]


def _value(value: Any) -> Any:
    """A list is PostgreSQL's array, as in = ANY(%s); an object is JSON."""
    is_json = isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, dict) for item in value))
    return Jsonb(value) if is_json else value


def _first_word(sql: str) -> str:
    found = FIRST_WORD.match(sql)
    return found[1].upper() if found else ""
