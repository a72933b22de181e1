"""SQLite: the file is opened to be read, and each action is asked about before the statement begins."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import quote

from workflows.errors import WorkflowStepError
from workflows.sql.result import CHUNK, Result, gathered

LONGEST_VALUE = 32 * 1024 * 1024  # bytes of one text or blob, also on the way to the result
BUSY_S = 5.0  # what it waits for somebody else's writing
INSTRUCTIONS = 1_000  # of SQLite's machine, between two looks at the time
AWAY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN)
READS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
WRITES = {
    *(sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE, sqlite3.SQLITE_REINDEX),
    *(sqlite3.SQLITE_CREATE_TABLE, sqlite3.SQLITE_CREATE_INDEX, sqlite3.SQLITE_CREATE_VIEW),
    *(sqlite3.SQLITE_DROP_TABLE, sqlite3.SQLITE_DROP_INDEX, sqlite3.SQLITE_DROP_VIEW, sqlite3.SQLITE_ALTER_TABLE),
    sqlite3.SQLITE_ANALYZE,
}
FORBIDDEN = {"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer", "zipfile"}


class Driver:
    def __init__(
        self, name: str, about: Mapping[str, Any], sql: str, parameters: Any, writes: bool, most: int, timeout_s: float
    ) -> None:
        self.name, self.file = name, Path(about["NAME"])
        self.sql, self.parameters, self.writes, self.most, self.timeout_s = sql, parameters, writes, most, timeout_s
        self._is_stopped = threading.Event()
        self._until = 0.0
        self._refused = ""

    def stop(self) -> None:
        self._is_stopped.set()

    def execute(self) -> Result:
        self._until = monotonic() + self.timeout_s
        try:
            with closing(self._connected()) as connection:
                return self._result(connection)
        except sqlite3.Error as error:
            raise self._failure(error) from None
        # A parameter that does not fit; a second statement, which was no error of its own before Python 3.12.
        except (OverflowError, ValueError, TypeError, sqlite3.Warning) as error:
            raise self._refusal(f"{error}") from None

    def _connected(self) -> sqlite3.Connection:
        address = f"file:{quote(str(self.file.absolute()))}?mode={'rw' if self.writes else 'ro'}"
        connection = sqlite3.connect(address, uri=True, timeout=min(BUSY_S, self.timeout_s), isolation_level=None)
        connection.execute(f"PRAGMA query_only={'OFF' if self.writes else 'ON'}")
        if self.writes:
            connection.execute("PRAGMA foreign_keys=ON")
        for limit, most in (
            (sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE),
            (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
            (sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1_000),
        ):
            connection.setlimit(limit, most)
        connection.execute("SELECT 1 FROM json_each('[]'), json_tree('[]')")  # which declare themselves at first use
        connection.set_progress_handler(self._is_over, INSTRUCTIONS)
        return connection

    def _result(self, connection: sqlite3.Connection) -> Result:
        if self.writes:
            connection.execute("BEGIN IMMEDIATE")
        connection.set_authorizer(self._may)
        cursor = connection.execute(*_translated(self.sql, self.parameters))
        columns = [column[0] for column in cursor.description or ()]
        result = gathered(columns, _chunks(cursor), self.most)
        if self.writes:
            if result.is_cut:  # a statement that returns rows has changed them all only when it was read to its end
                for _ in _chunks(cursor):
                    pass
            result.changed = max(0, cursor.rowcount)
            connection.set_authorizer(None)
            connection.execute("COMMIT")
        return result

    def _is_over(self) -> bool:
        return self._is_stopped.is_set() or monotonic() > self._until

    def _may(self, action: int, first: str | None, second: str | None, *_: Any) -> int:
        if action == sqlite3.SQLITE_FUNCTION:
            is_allowed = (second or "").lower() not in FORBIDDEN
        else:
            is_allowed = action in READS or (self.writes and action in WRITES)
        if not is_allowed:
            self._refused = self._refused or ACTIONS.get(action, f"action {action}")
        return sqlite3.SQLITE_OK if is_allowed else sqlite3.SQLITE_DENY

    def _failure(self, error: sqlite3.Error) -> WorkflowStepError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_INTERRUPT:
            return WorkflowStepError(f"“{self.name}” took longer than {self.timeout_s:g} s, and was interrupted.")
        if code == sqlite3.SQLITE_AUTH:
            what = "may be changed by this step, but not so" if self.writes else "is read only here"
            return self._refusal(f"{self._refused or 'this'} is not allowed: it {what}")
        if code == sqlite3.SQLITE_CANTOPEN and not self.file.exists():
            return WorkflowStepError(f"“{self.name}” cannot be opened: its file is not there.")
        if code in AWAY:
            return WorkflowStepError(f"“{self.name}” could not do it: {error}.")
        return self._refusal(str(error))

    def _refusal(self, words: str) -> WorkflowStepError:
        return WorkflowStepError(f"“{self.name}” refused the statement: {words.rstrip('.')}.", is_permanent=True)


ACTIONS = {
    sqlite3.SQLITE_ATTACH: "ATTACH",
    sqlite3.SQLITE_DETACH: "DETACH",
    sqlite3.SQLITE_PRAGMA: "PRAGMA",
    sqlite3.SQLITE_TRANSACTION: "BEGIN, COMMIT or ROLLBACK",
    sqlite3.SQLITE_SAVEPOINT: "SAVEPOINT",
    sqlite3.SQLITE_FUNCTION: "a function that reaches beyond the database",
    sqlite3.SQLITE_INSERT: "INSERT",
    sqlite3.SQLITE_UPDATE: "UPDATE",
    sqlite3.SQLITE_DELETE: "DELETE",
}


def _translated(sql: str, parameters: Any) -> tuple[str, Sequence[Any] | Mapping[str, Any]]:
    """%s and %(name)s as SQLite writes them; without parameters the text stays as it is."""
    if parameters is None:
        return sql, ()
    places = [found[1] for found in PLACE.finditer(sql) if found[1] != "%"]
    if not all(places):
        raise ValueError("a percent sign is written %% where there are parameters")
    if isinstance(parameters, Mapping):
        if "s" in places:
            raise ValueError("the parameters are an object, so each place has a name: %(name)s")
        return PLACE.sub(_named, sql), {name: _bound(value) for name, value in parameters.items()}
    if any(place != "s" for place in places) or len(places) != len(parameters):
        have = f"{len(places)} places (%s)" if all(place == "s" for place in places) else "places with names"
        raise ValueError(f"the statement has {have}, and the parameters are a list of {len(parameters)}")
    return PLACE.sub(lambda found: "%" if found[1] == "%" else "?", sql), [_bound(value) for value in parameters]


PLACE = re.compile(r"%(%|s|\(\w+\)s)?")


def _named(found: re.Match[str]) -> str:
    return "%" if found[1] == "%" else f":{found[1][1:-2]}"


def _bound(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _chunks(cursor: sqlite3.Cursor) -> Iterator[list[Any]]:
    while chunk := cursor.fetchmany(CHUNK):
        yield chunk
