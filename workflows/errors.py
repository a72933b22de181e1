"""Every error of the house, in one tree. A class's docstring is its default message.

StepstreamError
├── DefinitionError           a definition that may not be published; carries its problems
├── EditError                 a change of a draft that cannot be made
│   └── EditConflict          somebody else changed the draft first
├── InputError                an input or a value that cannot be kept
├── VaultError                a secret that cannot be decrypted: its key is missing or wrong
├── WorkflowExecutionError    an execution that could not start, or that failed
└── WorkflowStepError         raised by a step: this attempt failed, and why
    ├── AddressRefused        it may not connect to that address
    └── AnswerTooLarge        what came back is more than may be read

A failing step is data in the journal; an exception that escapes the engine is our bug.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal


class StepstreamError(Exception):
    """Something in Stepstream went wrong."""

    code = "error"

    def __init__(self, message: str | None = None) -> None:
        self.message = message or (self.__doc__ or "").strip()
        super().__init__(self.message)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a definition. `code` is the rule, `message` a whole sentence, the rest says where."""

    code: str
    message: str
    node: str | None = None
    field: str | None = None
    level: Literal["error", "warning"] = "error"

    @property
    def dom_field(self) -> str:
        """As the builder's form names the place."""
        return (self.field or "").replace(".", "-")


class DefinitionError(StepstreamError):
    """The definition cannot be published."""

    code = "definition"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__(" ".join(problem.message for problem in self.problems))


class EditError(StepstreamError):
    """This change cannot be made."""

    code = "draft.edit"


class EditConflict(EditError):
    """Somebody else changed the draft meanwhile."""

    code = "draft.conflict"


class InputError(StepstreamError):
    """The input cannot be used."""

    code = "input"

    def __init__(
        self, message: str | None = None, field: str = "input_data", problems: Mapping[str, str] | None = None
    ) -> None:
        self.field = field
        self.problems = dict(problems or {})  # a sentence by declared field, where it was those that did not fit
        super().__init__(message)


class VaultError(StepstreamError):
    """The key of a secret is missing or wrong."""

    code = "secret.key"


class WorkflowExecutionError(StepstreamError):
    """The workflow could not be executed."""

    code = "execution"

    def __init__(self, message: str | None = None, execution_id: int | None = None, node: str | None = None) -> None:
        self.execution_id = execution_id
        self.node = node
        super().__init__(message)


class WorkflowStepError(StepstreamError):
    """The step failed."""

    code = "step"

    def __init__(
        self,
        message: str | None = None,
        details: Mapping[str, Any] | None = None,
        *,
        is_permanent: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        """`is_permanent`: trying again would not help. `retry_after_s`: as the other side asked."""
        self.details = dict(details or {})
        self.is_permanent, self.retry_after_s = is_permanent, retry_after_s
        super().__init__(message)


class AddressRefused(WorkflowStepError):
    """Steps may not connect to this address."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message, is_permanent=True)


class AnswerTooLarge(WorkflowStepError):
    """The answer is larger than what may be read."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message, is_permanent=True)
