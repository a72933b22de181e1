"""One statement in a database, on a connection of its own that nobody had before and nobody gets after.

The connection, not a look at the text, is what refuses: SQLite is opened to be read and asks us about each action;
PostgreSQL begins a READ ONLY transaction, and takes the statement alone, as a prepared one.
"""

from __future__ import annotations

from typing import Any, Protocol

from django.db import connections

from workflows.errors import WorkflowStepError
from workflows.sql.result import Result


class Driver(Protocol):
    def execute(self) -> Result: ...
    def stop(self) -> None:
        """From another thread: execute() ends soon, with an error."""


class Statement:
    def __init__(self, database: str, sql: str, parameters: Any, writes: bool, most: int, timeout_s: float) -> None:
        from workflows.sql import postgresql, sqlite

        connection = connections[database]
        drivers: dict[str, Any] = {"sqlite": sqlite.Driver, "postgresql": postgresql.Driver}
        if connection.vendor not in drivers:
            text = f"Database “{database}” is {connection.display_name}; sql steps know SQLite and PostgreSQL."
            raise WorkflowStepError(text, is_permanent=True)
        self._driver: Driver = drivers[connection.vendor](
            database, connection.settings_dict, sql, parameters, writes, most, timeout_s
        )

    def execute(self) -> Result:
        """In a thread. Raises WorkflowStepError in the database's words."""
        return self._driver.execute()

    def stop(self) -> None:
        self._driver.stop()
