"""A team's own functions as steps: `@function()` makes a kind `python.<name>` of one; its settings are the parameters.

A kind of its own for each, and not one kind with a choice: the form, the checks at publishing, the search and the
documentation then come as for every other kind, and a definition names what it runs.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, Field, PydanticUserError, create_model
from pydantic.config import JsonDict

from workflows import steps
from workflows.steps import base
from workflows.steps.due import SaveAs

F = TypeVar("F", bound=Callable[..., Any])
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
OURS = frozenset({"save_as", *base.RESERVED})


class FunctionError(TypeError):
    """A function cannot become a step."""


class FunctionConfig(base.Config):
    """What every such step has; the parameters come before it."""

    save_as: SaveAs = "result"


class FunctionStep(base.Step[FunctionConfig]):
    """Base of the kinds that function() makes."""

    function: Callable[..., Any]
    takes: tuple[str, ...] = ()
    context: str = ""  # the parameter that gets the StepContext

    async def run(self, ctx: base.StepContext) -> base.Outcome:
        given = self._given(ctx)
        return self._outcome(ctx, await type(self).function(**given))

    def _given(self, ctx: base.StepContext) -> dict[str, Any]:
        context = {self.context: ctx} if self.context else {}
        return {name: getattr(self.config, name) for name in self.takes} | context

    def _outcome(self, ctx: base.StepContext, result: Any) -> base.Outcome:
        """An object is put into the data under a name, as is any other value; an outcome is handed on as it is."""
        if isinstance(result, base.Outcome):
            return result
        return base.Done({**ctx.data, self.config.save_as: plain(result)})


class ThreadStep(FunctionStep):
    """For a function that is none of asyncio's: it runs in a thread, which nobody can stop."""

    def run(self, ctx: base.StepContext) -> base.Outcome:  # type: ignore[override]
        return self._outcome(ctx, type(self).function(**self._given(ctx)))


def function(
    name: str = "", *, label: str = "", help: str = "", effects: base.Effects = "none", icon: str = "process"
) -> Callable[[F], F]:
    """Registers what it decorates as the step kind `python.<name>`; the function itself stays as it is.

    Parameters become settings by their types and defaults; one that is called `ctx`, or has the type StepContext, gets
    the context. The docstring's first paragraph is its help, and `Annotated[int, Field(…)]` says more of a parameter.
    `effects`: "outside" where it changes anything that a second run would change again.
    Raises FunctionError where that cannot be, at once, so that the server does not start.
    """

    def made(decorated: F) -> F:
        kind = _kind(decorated, name or decorated.__name__)
        kind.label = label or kind.kind.removeprefix("python.").replace("_", " ").capitalize()
        kind.help = help or _help(decorated) or f"Calls {decorated.__module__}.{decorated.__qualname__}."
        kind.effects, kind.icon = effects, icon
        steps.register(kind)
        return decorated

    return made


def plain(value: Any) -> Any:
    """A pydantic model as the object that it is."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def _kind(decorated: Callable[..., Any], name: str) -> type[FunctionStep]:
    if not NAME.fullmatch(name):
        raise FunctionError(f"“{name}” cannot name a step: use small letters, digits and “_”, a letter first.")
    context, fields = _parameters(decorated)
    parent = FunctionStep if inspect.iscoroutinefunction(decorated) else ThreadStep
    try:
        config = create_model("Config", __base__=FunctionConfig, __module__=decorated.__module__, **fields)
    except (PydanticUserError, NameError, TypeError) as error:
        raise FunctionError(f"{decorated.__qualname__}: its parameters cannot become settings: {error}") from None
    names = {"kind": f"python.{name}", "Config": config, "takes": tuple(fields), "context": context}
    kind = type(name, (parent,), {**names, "function": staticmethod(decorated), "__module__": decorated.__module__})
    assert issubclass(kind, FunctionStep)
    return kind


def _parameters(decorated: Callable[..., Any]) -> tuple[str, dict[str, Any]]:
    """(the one that gets the context, the others as pydantic's fields)."""
    hints = _hints(decorated)
    context, fields = "", dict[str, Any]()
    for name, parameter in inspect.signature(decorated).parameters.items():
        where = f"{decorated.__qualname__}({name})"
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise FunctionError(f"{where}: only parameters with a name can be settings, and no *args or **kwargs.")
        if name == "ctx" or hints.get(name) is base.StepContext:
            context = name
            continue
        if name not in hints:
            raise FunctionError(f"{where} has no type: write one, such as {name}: str.")
        if name in OURS or name.startswith(("_", "model_")) or hasattr(base.Config, name):
            raise FunctionError(f"{where}: the name is taken in every step's settings; choose another.")
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[name] = (_described(hints[name], name), default)
    return context, fields


def _hints(decorated: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(decorated, include_extras=True)
    except NameError as error:
        raise FunctionError(f"{decorated.__qualname__}: a type of its parameters is not known: {error}.") from None


def _described(hint: Any, name: str) -> Any:
    """Every setting has a description."""
    has = get_origin(hint) is Annotated and any(getattr(more, "description", None) for more in get_args(hint)[1:])
    look: JsonDict | None = {"look": "json"} if _is_open(hint) else None
    text = f"The function's {name.replace('_', ' ')}."
    return hint if has else Annotated[hint, Field(description=text, json_schema_extra=look)]


def _is_open(hint: Any) -> bool:
    """Whether its form is a field for JSON: several types at once."""
    kinds = [one for one in get_args(hint) if one is not type(None)]
    return get_origin(hint) in (Union, UnionType) and len(kinds) > 1


def _help(decorated: Callable[..., Any]) -> str:
    text = " ".join(inspect.cleandoc(decorated.__doc__ or "").split("\n\n")[0].split())
    return text if not text or text.endswith(".") else f"{text}."
