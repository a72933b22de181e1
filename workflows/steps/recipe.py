"""A node's settings before its step is made of them: what stands in them, and what has to be worked out first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

from pydantic import ValidationError

from workflows import expressions
from workflows.config import looks
from workflows.errors import WorkflowStepError
from workflows.expressions import Expression, Place
from workflows.steps.base import RESERVED, Step
from workflows.steps.sentences import named, titled, told


class SettingError(WorkflowStepError):
    """A setting does not fit, now that its expressions are worked out."""


@dataclass(frozen=True)
class Recipe:
    """`config`: in today's form of the kind, expressions as they were written."""

    kind: type[Step[Any]]
    config: Mapping[str, Any]

    @cached_property
    def expressions(self) -> tuple[Expression, ...]:
        """But for the names of secrets: which of them is used is said by who builds, and never by the data."""
        found = expressions.found_in(self.config, self.kind.literal)
        return tuple(one for one in found if not _names_a_secret(self.kind.Config, one.place))

    @cached_property
    def is_quick(self) -> bool:
        """Whether made() is over at once."""
        return expressions.is_quick(self.expressions)

    def made(self, scope: Mapping[str, Any], owner: str) -> Step[Any]:
        """The step, ready to run. Raises ExpressionError or SettingError, which name the setting."""
        config = expressions.resolved(self.config, self.expressions, scope, owner, self.called)
        try:
            return self.kind(self.kind.Config.model_validate(config))
        except ValidationError as error:
            wrong = told(self.kind.Config, error.errors(include_url=False))
            text = " ".join(sentence for _, sentence in wrong[:5])
            raise SettingError(text, {"step": self.kind.kind}, is_permanent=True) from None

    def called(self, place: Place) -> str:
        """As the form calls a setting."""
        return named(titled(self.kind.Config, place))

    def without_expressions(self, errors: list[Any]) -> list[Any]:
        """Of pydantic's errors those that no expression can change: its value is known when it runs."""
        return [error for error in errors if not self._hangs_on_one(error["loc"])]

    def _hangs_on_one(self, loc: tuple[Any, ...]) -> bool:
        inside: Any = self.config
        for part in loc:
            try:
                inside = inside[part]
            except (KeyError, IndexError):
                return False  # it is not there, and no expression will bring it
            except TypeError:
                break  # pydantic goes on into the branches of a union; here is where it stands
        return expressions.holds_any(inside) and not _names_a_secret(self.kind.Config, loc)


def bare(data: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of its kind, without what every step has."""
    return {key: value for key, value in data.items() if key not in RESERVED}


def _names_a_secret(model: Any, place: Place) -> bool:
    for part in place:
        info = getattr(model, "model_fields", {}).get(part)
        if info is None:
            continue  # a row's number
        if looks(info) == "secret":
            return True
        model = next(iter(get_args(info.annotation)), info.annotation)
    return False
