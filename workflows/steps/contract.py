"""What every step kind promises, ours or added: checks that say in whole sentences what one of them breaks.

A promise here looks at a kind and its settings, and runs nothing; those about a step at work are in
executions/step_contract.py, which has check_kind() for them all. Knows no test runner.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from workflows import config
from workflows.graph import ERROR, Node, parse
from workflows.steps import AnyStep, config_errors, kinds, problems, recipe_of
from workflows.templatetags.words import STEP_ICONS

DATA = {"text": "Good morning", "items": ["a", "b"], "number": 7}
EXPRESSION = "{{ input.text }}"
NOW = "2026-11-24T12:00:00Z"
PROBE = "CONTRACT_PROBE"  # the name of a secret
LONG = 1_000_001  # characters that no setting may have
SECRET = re.compile(r"(^|_)(password|passwd|passphrase|secret|token|api_?key|credentials?)$")
JARGON = re.compile(r"Input should|validation error|value_error|type=|pydantic|NoneType|dict_type|<class")

#: What a field may be given by somebody who has misunderstood it.
ODD: tuple[Any, ...] = (None, True, -1e12, 0.5, "", "nonsense", "ü\n\u2028", "x" * LONG, [], [[1]], {}, {"a": {"b": 1}})


@dataclass(frozen=True, slots=True)
class Sample:
    """One kind, with settings with which it runs on `data` to an outcome: its `example` where none are given.

    `files`: what stands in the workflow's area before. `secret`: settings that name the secret CONTRACT_PROBE; else
    its example does, wherever its own fields are for secrets. `long`: settings with which it goes on until it is
    stopped, where it has such, and `until` waits for the moment at which it is in the midst of that.
    """

    kind: type[AnyStep]
    settings: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=lambda: dict(DATA))
    files: Mapping[str, bytes] = field(default_factory=dict)
    secret: Mapping[str, Any] = field(default_factory=dict)
    long: Mapping[str, Any] = field(default_factory=dict)
    until: Callable[[], Awaitable[object]] | None = None

    @property
    def given(self) -> dict[str, Any]:
        return dict(self.settings or self.kind.example or self.kind.start)

    @property
    def given_with_secret(self) -> dict[str, Any]:
        """Empty where it knows no secrets."""
        own = [name for name, info in self.kind.Config.model_fields.items() if config.looks(info) == "secret"]
        return dict(self.secret) or ({**self.given, **dict.fromkeys(own, PROBE)} if own else {})


Promise = Callable[[Sample], Iterable[str]]


def promise(look: Callable[[Sample], Iterable[str]]) -> Promise:
    """A kind that breaks while it is looked at has broken the promise too; each sentence comes once."""

    @wraps(look)
    def kept(sample: Sample) -> list[str]:
        told: dict[str, None] = {}
        try:
            told.update(dict.fromkeys(look(sample)))
        except Exception as error:
            told[f"It breaks on what it is given: {error!r:.300}"] = None
        return list(told)

    return kept


# The kind says what it is


@promise
def it_says_what_it_is(sample: Sample) -> Iterator[str]:
    kind = sample.kind
    if kinds().get(kind.kind) is not kind:
        yield f"It is not registered as “{kind.kind}”, so no workflow can use it."
    if not re.fullmatch(r"[a-z][a-z0-9_.-]{0,63}", kind.kind):
        yield f"Its name “{kind.kind}” must be lower-case letters, digits, “_”, “.” or “-”, a letter first."
    if not kind.label.strip() or len(kind.label) > 40:
        yield "Its label must be a few words: people find it by them."
    if not kind.help.endswith(".") or len(kind.help) < 15:
        yield f"Its help must be a whole sentence that ends with a full stop; it is “{kind.help}”."
    if not (kind.__doc__ or sys.modules[kind.__module__].__doc__):
        yield f"The module {kind.__module__} needs a docstring that says what the kind is for and what it never does."
    if kind.icon not in STEP_ICONS:
        yield f"There is no icon “{kind.icon}”; there is {', '.join(sorted(STEP_ICONS))}."
    if not isinstance(kind.version, int) or kind.version < 1:
        yield "Its version must be a whole number from 1."


@promise
def every_setting_is_explained(sample: Sample) -> Iterator[str]:
    for place, info in fields_of(sample.kind.Config):
        if config.looks(info) != "hidden" and not info.description and not info.title:
            yield f"“{place}” needs a title or a description: they stand at the field, and in the manual."
        if SECRET.search(place.rpartition(".")[2]) and config.looks(info) != "secret":
            yield f"“{place}” would hold a secret in the definition: declare it as SecretName."


@promise
def it_has_an_example(sample: Sample) -> Iterator[str]:
    yield from (f"Its example: {text}" for _, text in errors_of(sample.kind, sample.kind.example))
    for preset in sample.kind.presets:
        wrong = [text for place, text in errors_of(sample.kind, preset.config) if place in preset.config]
        yield from (f"Its preset “{preset.label}”: {text}" for text in wrong)  # what it leaves open is for people


@promise
def it_has_ways_out(sample: Sample) -> Iterator[str]:
    for given in (sample.given, {}, *odd_settings(sample)):
        handles = sample.kind.handles_of(given)
        if not handles or len(set(handles)) < len(handles) or ERROR in handles:
            yield f"Its ways out must be several different ones, and “{ERROR}” belongs to the policy: {handles}."
        if not all(isinstance(sample.kind.name_of(given, handle), str) for handle in handles):
            yield "Each of its ways out needs a name."


@promise
def it_declares_its_effects(sample: Sample) -> Iterator[str]:
    for given in (sample.given, sample.long, {}, *odd_settings(sample)):
        if (effects := sample.kind.effects_of(given)) not in ("none", "outside"):
            yield f"Its effects must be “none” or “outside”, whatever its settings are; with {given} “{effects}”."
            return


# Its settings


@promise
def the_form_loses_nothing(sample: Sample) -> Iterator[str]:
    """Reading an untouched form gives the very settings that it was made from, however odd, and foreign keys too."""
    foreign = {"label": "A step", "mine": {"deep": [1, None]}}
    dynamic = ({**sample.given, name: EXPRESSION} for name in sample.kind.Config.model_fields)
    for given in (sample.given, sample.long, *odd_settings(sample), *dynamic):
        data = {**given, **foreign}
        form = config.settings(sample.kind.Config, data, {})
        if (read := config.read(sample.kind.Config, typed(form), data)) != data:
            yield f"An untouched form changed {_difference(data, read)}."
    form = config.settings(sample.kind.Config, {}, {})
    if read := config.read(sample.kind.Config, typed(form), {}):
        yield f"An empty form wrote down {sorted(read)}, which nobody has touched."


@promise
def a_definition_keeps_its_meaning(sample: Sample) -> Iterator[str]:
    """As JSON and back the settings mean the same, with keys in them that the kind does not know."""
    for given in (sample.given, sample.long):
        if not given:
            continue
        once, again = _made(sample, given), _made(sample, json.loads(json.dumps({**given, "mine": 1})))
        if once != again:
            yield f"Its settings mean something else after a round through JSON: {given}."
        dumped = once.model_dump(mode="json", by_alias=True)
        if sample.kind.Config.model_validate(json.loads(json.dumps(dumped))) != once:
            yield f"Its settings mean something else when they are written out in full: {dumped}."
        if sample.kind.upgrade(dict(given)) != dict(given):
            yield "upgrade() changes settings that are those of today already."


@promise
def wrong_settings_are_told_at_their_field(sample: Sample) -> Iterator[str]:
    """Each message is a sentence that names the field as people know it, and what came."""
    for name, info in sample.kind.Config.model_fields.items():
        told = [(odd, errors_of(sample.kind, {**sample.given, name: odd})) for odd in ODD]
        if not any(errors for _, errors in told) and not _takes_anything(info):
            yield f"“{name}” takes everything, also what it cannot work with."
        if config.bare(info) is str and not any(errors for odd, errors in told if odd == "x" * LONG):
            yield f"“{name}” has no limit: it takes {LONG:,} characters. Give it a max_length."
        for odd, errors in told:
            yield from (f"{name} = {odd!r:.40}: {why}" for why in _badly_told(sample.kind, errors))
    for place, text in errors_of(sample.kind, {}):
        missing = sample.kind.Config.model_fields.get(place.partition(".")[0])
        if missing is None or called(place, missing) not in text.casefold():
            yield f"What is missing must be named: “{text}” stands at “{place}”."


@promise
def expressions_pass_publishing(sample: Sample) -> Iterator[str]:
    """Wherever {{ }} means something, only the run can know the value; a secret's name is never an expression."""
    before = published(sample.given, sample.kind)
    for name, info in sample.kind.Config.model_fields.items():
        if name in sample.kind.literal or config.looks(info) == "hidden":
            continue
        told = published({**sample.given, name: EXPRESSION}, sample.kind)
        told = [text for text in told if text not in before]
        if config.looks(info) == "secret":
            if not told:
                yield f"“{name}” is the name of a secret, and lets an expression choose it."
        else:
            yield from (f"“{name}” takes no expression: {text}" for text in told)
        for inner, rows in _rows_with_one(info, sample.given.get(name)):
            told = published({**sample.given, name: rows}, sample.kind)
            yield from (f"“{name}.{inner}” takes no expression: {text}" for text in told if text not in before)


PROMISES: tuple[Promise, ...] = (
    *(it_says_what_it_is, every_setting_is_explained, it_has_an_example, it_has_ways_out, it_declares_its_effects),
    *(the_form_loses_nothing, a_definition_keeps_its_meaning, wrong_settings_are_told_at_their_field),
    expressions_pass_publishing,
)


# Looking at a Config


def fields_of(model: type[BaseModel], before: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Each field, and those of its rows: “cases”, “cases.label”."""
    for name, info in model.model_fields.items():
        yield f"{before}{name}", info
        if row := config.row_of(info):
            yield from fields_of(row, f"{before}{name}.")


def errors_of(kind: type[AnyStep], given: Mapping[str, Any]) -> list[tuple[str, str]]:
    return config_errors(kind, dict(given)) if given or kind.Config.model_fields else []


def odd_settings(sample: Sample) -> Iterator[dict[str, Any]]:
    """The sample's settings, each once with something odd in its place."""
    for name in sample.kind.Config.model_fields:
        yield from ({**sample.given, name: odd} for odd in ODD if odd != "x" * LONG)


def typed(form: list[config.Setting]) -> dict[str, str]:
    """What a browser sends of a form that nobody touched."""
    sent: dict[str, str] = {}
    for one in form:
        if one.look == "switch":
            sent |= {one.name: "on"} if one.value is True else {}
        elif one.look == "rows":
            for row in one.rows:
                sent |= typed(row.fields)
        else:
            sent[one.name] = str(one.value)
    return sent


def _rows_with_one(info: FieldInfo, rows: Any) -> Iterator[tuple[str, list[Any]]]:
    """The sample's rows, each time with an expression in another field of the first one."""
    row = config.row_of(info)
    if row and isinstance(rows, list) and rows and isinstance(rows[0], dict):
        for inner, about in row.model_fields.items():
            if config.looks(about) not in ("hidden", "secret"):
                yield inner, [{**rows[0], inner: EXPRESSION}, *rows[1:]]


def published(given: Mapping[str, Any], kind: type[AnyStep]) -> list[str]:
    """The errors that stop a workflow of this one step from being published."""
    node = {"id": "a", "type": kind.kind, "data": dict(given)}
    return [problem.message for problem in problems(parse({"nodes": [node]})) if problem.level == "error"]


def called(place: str, info: FieldInfo) -> str:
    """What people call a setting, in small letters."""
    return (info.title or place.partition(".")[0].replace("_", " ")).casefold()


def _badly_told(kind: type[AnyStep], errors: list[tuple[str, str]]) -> Iterator[str]:
    for place, text in errors:
        info = kind.Config.model_fields.get(place.partition(".")[0])
        if info is None:
            yield f"“{text}” stands at no field."
        elif called(place, info) not in text.casefold():
            yield f"“{text}” does not name “{called(place, info)}”."
        if JARGON.search(text) or not text.endswith(".") or len(text) > 500:
            yield f"“{text[:200]}” is no plain, short sentence."


def _made(sample: Sample, given: Mapping[str, Any]) -> BaseModel:
    """Its Config, with expressions worked out on the sample's data."""
    scope = {"input": sample.data, "data": sample.data, "steps": {}, "vars": {}, "now": NOW, "execution": {"id": 1}}
    config_of: BaseModel = recipe_of(Node("a", sample.kind.kind, dict(given))).made(scope, "").config
    return config_of


def _takes_anything(info: FieldInfo) -> bool:
    return config.bare(info) in (Any, object)


def _difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    gone = object()
    keys = [key for key in {**one, **other} if one.get(key, gone) != other.get(key, gone)]
    return "; ".join(f"{key}: {one.get(key, 'nothing')!r:.60} to {other.get(key, 'nothing')!r:.60}" for key in keys)
