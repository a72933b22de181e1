"""Large data of rows and entries: into files as it is written, and out of them as it is read. See blobs.py.

An execution's row names its files in `input_blobs` and `output_blobs`; an entry under "blobs", beside "added" where a
step ended and beside "input" where one was repaired. Reading and writing files: never on the event loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from executions import blobs
from executions.blobs import Data
from executions.entry import Entry
from executions.models import ExecutionLog, WorkflowExecution

# An execution's row


def input_of(row: WorkflowExecution) -> Data:
    """Its input, whole. Raises NotReadable."""
    whole: Data = blobs.whole(input_outline(row))
    return whole


def output_of(row: WorkflowExecution) -> Data | None:
    """Its output, whole; None where it has none. Raises NotReadable."""
    whole: Data | None = blobs.whole(output_outline(row))
    return whole


def input_outline(row: WorkflowExecution) -> Data:
    """Its input, with a blobs.Large for what is kept in a file."""
    return blobs.outline(row.pk, row.input_data, row.input_blobs)


def output_outline(row: WorkflowExecution) -> Data | None:
    return None if row.output_data is None else blobs.outline(row.pk, row.output_data, row.output_blobs)


def insert(row: WorkflowExecution) -> None:
    """A new row; what is large of its input goes into files, which are named after its number. Raises TooLarge."""
    given = row.input_data
    if blobs.is_small(given):
        row.save(force_insert=True)
        return
    row.input_data = {}
    row.save(force_insert=True)
    row.input_data, row.input_blobs = blobs.split(row.pk, given)
    row.save(update_fields=["input_data", "input_blobs"])


# An entry


def stowed(execution_id: int, packed: Data, key: str = "added") -> Data:
    """The data of an entry as it is written: what is large under `key` goes into files. Raises TooLarge, NotWritten."""
    inline, refs = blobs.split(execution_id, packed[key])
    return {**packed, key: inline, "blobs": refs} if refs else packed


def outlined(entry: ExecutionLog) -> ExecutionLog:
    """With its `added`, a blobs.Large for each value that has a file, where it has any. Raises NotReadable."""
    if kept := _kept(entry):
        entry.added = blobs.outline(entry.execution_id, *kept)
    return entry


def filled(entry: ExecutionLog) -> ExecutionLog:
    """The same with the values themselves."""
    if kept := _kept(entry):
        entry.added = blobs.join(entry.execution_id, *kept)
    return entry


def copy(from_id: int, to_id: int, packed: Iterable[Mapping[str, Any]]) -> None:
    """The files that these data name, for another execution as well. Raises NotReadable and NotWritten."""
    for data in packed:
        blobs.copy(from_id, to_id, data.get("blobs"))


def _kept(entry: ExecutionLog | Entry) -> tuple[Data, blobs.Refs] | None:
    """(what is inline, references) of an entry that has files."""
    data = entry.data if isinstance(entry.data, dict) else {}
    data = data.get("output", data) if entry.kind == "repaired" else data
    return (data.get("added", data.get("input", {})), data["blobs"]) if data.get("blobs") else None
