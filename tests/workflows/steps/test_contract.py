"""Every step kind passes one shared test, ours and those that tests bring; and each promise finds who breaks it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pydantic import Field, ValidationInfo, field_validator, model_validator

from tests.samples import BUILT_IN
from workflows import steps
from workflows.steps import base, contract
from workflows.steps.contract import PROMISES, Promise, Sample


@pytest.fixture(autouse=True)
def shop(settings: Any) -> None:
    """The database that sql's example asks."""
    settings.SQL_DATABASES = ["shop"]


@pytest.fixture
def registry() -> Iterator[None]:
    before = dict(steps._kinds)
    yield
    steps._kinds.clear()
    steps._kinds.update(before)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
@pytest.mark.parametrize("kind", BUILT_IN, ids=lambda kind: kind.kind)
def test_every_kind_keeps_every_promise(kind: type[steps.AnyStep], promise: Promise) -> None:
    assert list(promise(Sample(kind))) == []


def broken(promise: Promise, **changed: Any) -> list[str]:
    """What the promise says of a kind that is sound except for what was changed."""

    class Sound(base.Step[base.Config]):
        kind, label = "test_sound", "Sound"
        help = "Does what it says that it does."

        class Config(base.Config):
            text: str = Field("", max_length=100, description="Any text.")
            many: int = Field(1, ge=1, le=9, description="How many.")
            is_on: bool = Field(False, description="Whether.")

        async def run(self, ctx: base.StepContext) -> base.Done:
            return base.Done({})

    made = type("Sound", (Sound,), {"__module__": __name__, **changed})
    if changed.get("is_registered", True):
        steps.register(made)
    return list(promise(Sample(made, changed.get("settings", {"text": "a"}))))


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_a_sound_kind_breaks_nothing(registry: None, promise: Promise) -> None:
    assert broken(promise) == []


def config(**fields: Any) -> type[base.Config]:
    """A Config of (type, Field) pairs."""
    return type(
        "Config",
        (base.Config,),
        {"__annotations__": {name: one[0] for name, one in fields.items()}}
        | {name: one[1] for name, one in fields.items()},
    )


class Pair(base.Config):
    text: str = Field("", max_length=100, description="A text.")
    other: str = Field("", max_length=100, description="Another.")

    @model_validator(mode="after")
    def _agree(self) -> Any:
        if self.other != "":
            raise ValueError("They do not agree")
        return self


class Crossed(base.Config):
    """One field complains of another, which only the run will know."""

    other: str = Field("", max_length=100, description="Another.")
    text: str = Field("", max_length=100, description="A text.")

    @field_validator("text")
    @classmethod
    def _fits(cls, text: str, info: ValidationInfo) -> str:
        if info.data.get("other", "") not in ("", "a"):
            raise ValueError("Text does not fit to the other.")
        return text


class Greedy(base.Config):
    """Refuses foreign keys, so a definition from elsewhere cannot be kept."""

    model_config = {"extra": "forbid"}
    text: str = Field("", max_length=100, description="A text.")


def out_twice(cls: Any, data: Mapping[str, Any]) -> tuple[str, ...]:
    return ("out", "out")


@pytest.mark.parametrize(
    ("promise", "changed", "sentence"),
    [
        (contract.it_says_what_it_is, {"is_registered": False}, "not registered"),
        (contract.it_says_what_it_is, {"kind": "Not a name"}, "lower-case letters"),
        (contract.it_says_what_it_is, {"label": " "}, "a few words"),
        (contract.it_says_what_it_is, {"help": "no sentence"}, "whole sentence"),
        (contract.it_says_what_it_is, {"version": 0}, "whole number from 1"),
        (contract.it_says_what_it_is, {"icon": "dragon"}, "no icon “dragon”"),
        (
            contract.every_setting_is_explained,
            {"Config": config(text=(str, Field("", max_length=9)))},
            "“text” needs a title or",
        ),
        (
            contract.every_setting_is_explained,
            {"Config": config(api_key=(str, Field("", max_length=9, description="The key.")))},
            "declare it as SecretName",
        ),
        (contract.it_has_an_example, {"example": {"many": 99}}, "Its example: Many must be at most 9"),
        (contract.it_has_an_example, {"presets": (base.Preset("Lots", {"many": 99}),)}, "preset “Lots”: Many"),
        (contract.it_has_ways_out, {"handles": ()}, "several different ones"),
        (contract.it_has_ways_out, {"handles": ("out", "error")}, "belongs to the policy"),
        (contract.it_has_ways_out, {"handles_of": classmethod(out_twice)}, "several different ones"),
        (contract.it_declares_its_effects, {"effects": "maybe"}, "must be “none” or “outside”"),
        (contract.a_definition_keeps_its_meaning, {"Config": Greedy}, "breaks on"),
        (
            contract.a_definition_keeps_its_meaning,
            {"upgrade": classmethod(lambda cls, old: {**old, "many": 2})},
            "those of today already",
        ),
        (contract.wrong_settings_are_told_at_their_field, {"Config": Pair}, "stands at no field"),
        (
            contract.wrong_settings_are_told_at_their_field,
            {"Config": config(text=(str, Field("", description="A text.")))},
            "has no limit",
        ),
        (
            contract.wrong_settings_are_told_at_their_field,
            {
                "Config": config(
                    text=(Any, Field("", title="Words", description="A text.")), n=(tuple[int, int], (1, 2))
                )
            },
            "no plain, short sentence",
        ),
        (contract.expressions_pass_publishing, {"Config": Crossed}, "“other” takes no expression"),
        (
            contract.expressions_pass_publishing,
            {"Config": config(key=(str, Field("", description="A key.", json_schema_extra={"look": "secret"})))},
            "lets an expression choose it",
        ),
    ],
)
def test_who_breaks_a_promise_is_told_so(
    registry: None, promise: Promise, changed: dict[str, Any], sentence: str
) -> None:
    told = broken(promise, **changed)
    assert any(sentence in text for text in told), told


def test_a_form_that_loses_something_is_found(registry: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflows.config.read", lambda model, typed, data: {"many": 1})
    told = broken(contract.the_form_loses_nothing)
    assert any("An untouched form changed text: 'a' to 'nothing'" in text for text in told), told
    assert "An empty form wrote down ['many'], which nobody has touched." in told


@pytest.mark.parametrize(
    ("promise", "method"),
    [(contract.it_has_ways_out, "handles_of"), (contract.it_declares_its_effects, "effects_of")],
)
def test_a_promise_does_not_break_on_a_kind_that_breaks(registry: None, promise: Promise, method: str) -> None:
    def raises(cls: Any, data: Mapping[str, Any]) -> Any:
        raise KeyError("cases")

    assert broken(promise, **{method: classmethod(raises)}) == ["It breaks on what it is given: KeyError('cases')"]
