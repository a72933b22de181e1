"""Which execution the running code works for: whatever is logged there, a step's own lines too, carries its id."""

from contextvars import ContextVar

current_execution: ContextVar[int | None] = ContextVar("current_execution", default=None)
