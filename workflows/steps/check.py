"""check: lets the data pass unchanged if it has what is needed, else fails and names everything that is wrong."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from workflows.errors import WorkflowStepError
from workflows.steps import base


class Config(base.Config):
    required: list[str] = Field([], description="The fields that must be there and not empty.")
    allowed: dict[str, list[Any]] = Field({}, description="For a field, the only values it may have where it is there.")


class Check(base.Step[Config]):
    kind, label, icon = "check", "Check", "check"
    is_instant = True
    help = "Stops the run unless the data has the fields and values that are needed."
    also = "validate assert require verify guard"
    group, gives = "Ways", "the data"
    example = {"required": ["text"], "allowed": {"priority": ["low", "high"]}}
    Config = Config

    async def run(self, ctx: base.StepContext) -> base.Done:
        required, allowed = self.config.required, self.config.allowed
        missing, refused = _missing(required, ctx.data), _refused(allowed, ctx.data)
        if missing or refused:
            raise WorkflowStepError(_sentence(missing, refused, allowed), _details(missing, refused, ctx.data))
        ctx.log(f"Everything is there: {', '.join([*required, *allowed]) or 'nothing was asked'}")
        return base.Done(ctx.data)


def _missing(required: list[str], data: Mapping[str, Any]) -> list[str]:
    """Absent, null, blank and empty are the same to whoever needs the field; 0 and false are values."""
    return [name for name in required if data.get(name) in (None, [], {}) or str(data[name]).strip() == ""]


def _refused(allowed: Mapping[str, list[Any]], data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: data[name] for name, values in allowed.items() if name in data and data[name] not in values}


def _sentence(missing: list[str], refused: Mapping[str, Any], allowed: Mapping[str, list[Any]]) -> str:
    parts = [f"Missing: {', '.join(missing)}."] if missing else []
    for name, value in refused.items():
        choices = ", ".join(str(choice) for choice in allowed[name]) or "nothing"
        parts.append(f"“{name}” is {str(value)[:100]!r}, but may only be: {choices}.")
    return " ".join(parts)


def _details(missing: list[str], refused: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    return {"missing": missing, "not_allowed": dict(refused), "received": sorted(data)[:100]}
