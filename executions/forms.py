"""What a person fills in to start an execution, in one of two shapes: a field for each that is declared, or JSON.

Both end in `given`, the input as an object, and each can be turned into the other without losing what was typed.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import NON_FIELD_ERRORS
from django.forms.boundfield import BoundField

from workflows import fields, values
from workflows.answers import problem, text_of
from workflows.errors import InputError
from workflows.fields import Field
from workflows.words import as_json

FIELD = "field-"  # what the names of declared fields begin with in the page
LONG = 80  # characters, beyond which a text gets several lines


def new_key() -> str:
    """Made with each form, so that a double click gives one execution."""
    return uuid.uuid4().hex


class Given(forms.Form):
    """`given`: the input, once the form is valid. `shape` is what the page calls this one."""

    shape = ""
    key = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    def __init__(self, *args: Any, asked: Sequence[Field] = (), **how: Any) -> None:
        super().__init__(*args, **how)
        self.asked = asked
        self.given: dict[str, Any] = {}

    def refuse(self, error: InputError) -> None:
        """Says what the engine said, at the place that it is about."""
        raise NotImplementedError

    def turned(self) -> Given | None:
        """The same values in the other shape; None where they cannot be read, and then the errors say why."""
        raise NotImplementedError

    def begin_at(self, name: str) -> None:
        """The cursor's first place; where something is wrong, that is the summary above."""
        if not self.is_bound:
            self.fields[name].widget.attrs["autofocus"] = True

    @property
    def problems(self) -> list[tuple[str, str]]:
        """(the id of the field or "", sentence) of everything that is wrong, for the summary."""
        return [
            ("" if name == NON_FIELD_ERRORS else self[name].id_for_label, str(sentence))
            for name, sentences in self.errors.items()
            for sentence in sentences
        ]


class RunForm(Given):
    """`input_data`: a JSON object, as text."""

    shape = "json"
    input_data = forms.CharField(
        label="Input",
        help_text="A JSON object: what the first step gets.",
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 14, "spellcheck": "false", "autocapitalize": "none", "class": "mono"}),
    )

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.begin_at("input_data")
        if self.asked:
            self.fields["input_data"].help_text = f"A JSON object with {', '.join(map(_said, self.asked))}."

    @classmethod
    def offering(cls, given: Mapping[str, Any], key: str, asked: Sequence[Field] = ()) -> RunForm:
        return cls(initial={"input_data": as_json(given), "key": key}, asked=asked)

    def clean_input_data(self) -> str:
        text: str = self.cleaned_data["input_data"]
        try:
            self.given = read_object(text or "{}")
        except InputError as error:
            raise forms.ValidationError(error.message) from None
        return text

    def refuse(self, error: InputError) -> None:
        self.add_error("input_data", list(error.problems.values()) or error.message)

    def turned(self) -> Given | None:
        """What is absent in JSON means the default, and an empty field would not."""
        if not self.is_valid():
            return None
        defaults = {field.name: field.default for field in self.asked}
        return FieldsForm.offering({**defaults, **self.given}, self.cleaned_data["key"], self.asked)


class FieldsForm(Given):
    """A form field for each that is declared. `beside`: the part of the input that no field declares, as JSON.

    `asks`: for which fields the form was made, since a workflow can change while somebody fills it in.
    """

    shape = "form"
    beside = forms.CharField(required=False, strip=False, widget=forms.HiddenInput)
    asks = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        if self.is_bound:
            self.data = self._with_the_orphans()
        texts = self.data if self.is_bound else self.initial
        for field in self.asked:
            self.fields[name_of(field)] = form_field(field, str(texts.get(name_of(field), "")))
        for field in self.asked[:1]:
            self.begin_at(name_of(field))

    @classmethod
    def offering(cls, given: Mapping[str, Any], key: str, asked: Sequence[Field]) -> FieldsForm:
        names = {field.name for field in asked}
        beside = {name: value for name, value in given.items() if name not in names}
        texts = {name_of(field): text_of(field, given.get(field.name)) for field in asked}
        return cls(initial={**texts, "beside": as_json(beside) if beside else "", "key": key}, asked=asked)

    def clean_beside(self) -> dict[str, Any]:
        try:
            return read_object(self.cleaned_data["beside"] or "{}")
        except InputError as error:
            raise forms.ValidationError(f"What came beside the fields cannot be read: {error.message}") from None

    def clean(self) -> None:
        if self.cleaned_data.get("asks", self.names) not in ("", self.names):
            text = "What is asked for has changed while you filled this in: look at the fields again."
            self.add_error(None, text)
        try:
            read = fields.read(self.asked, self._texts())
            whole = {**self.cleaned_data.get("beside", {}), **read}
            self.given = values.require_object(whole, "Input", max_bytes=settings.ENGINE["INPUT_BYTES"])
        except InputError as error:
            self.refuse(error)

    def refuse(self, error: InputError) -> None:
        for name, sentence in error.problems.items():
            if not self.has_error(f"{FIELD}{name}"):
                self.add_error(f"{FIELD}{name}", sentence)
        if not error.problems:
            self.add_error(None, error.message)

    def turned(self) -> Given | None:
        """What does not fit yet is taken along; only JSON that cannot be read has no place in JSON."""
        self.full_clean()
        known, unreadable = fields.taken(self.asked, self._texts())
        if unreadable or self.has_error("beside") or self.has_error("key"):
            return None
        return RunForm.offering({**self.cleaned_data["beside"], **known}, self.cleaned_data["key"], self.asked)

    def _texts(self) -> dict[str, str]:
        return {field.name: str(self.data.get(name_of(field), "")) for field in self.asked}

    def _with_the_orphans(self) -> Any:
        """What was typed into a field that is not asked for any more goes beside the others."""
        asked = {name_of(field) for field in self.asked}
        orphans = {name: text for name, text in self.data.items() if name.startswith(FIELD) and name not in asked}
        if not orphans:
            return self.data
        beside = self.others | {name.removeprefix(FIELD): text for name, text in orphans.items()}
        return {**dict(self.data.items()), "beside": as_json(beside)}

    @property
    def names(self) -> str:
        return " ".join(field.name for field in self.asked)

    def rows(self) -> Iterator[tuple[Field, BoundField]]:
        """For the template."""
        return ((field, self[name_of(field)]) for field in self.asked)

    @property
    def others(self) -> dict[str, Any]:
        """What no field declares; nothing where it cannot be read, which is said when the form is checked."""
        try:
            return read_object(str(self["beside"].value() or "{}"))
        except InputError:
            return {}


def _said(field: Field) -> str:
    return f"{field.name} ({field.type}{', required' if field.required else ''})"


def read_object(text: str) -> dict[str, Any]:
    return values.require_object(values.parse(text, "Input"), "Input", max_bytes=settings.ENGINE["INPUT_BYTES"])


def name_of(field: Field) -> str:
    """A declared field may have any name: "key" as well."""
    return f"{FIELD}{field.name}"


def form_field(field: Field, text: str) -> forms.Field:
    """`text`: what stands in it, since what a browser would not show must not get lost."""
    widget = WIDGETS[field.type](field, text)
    is_required = field.required and field.type != "boolean"  # of a box, the word would mean that it must be ticked
    widget.attrs |= {"autocomplete": "off", **({"required": True} if is_required else {})}
    return forms.CharField(label=field.title, help_text=field.help, required=False, strip=False, widget=widget)


def _text(field: Field, text: str) -> forms.Widget:
    return forms.Textarea(attrs={"rows": 4}) if "\n" in text or len(text) > LONG else forms.TextInput()


def _number(field: Field, text: str) -> forms.Widget:
    """A browser's own number field would throw away "3,5", and with it the chance to say what is wrong."""
    return forms.TextInput(attrs={"inputmode": "decimal"})


def _boolean(field: Field, text: str) -> forms.Widget:
    return forms.CheckboxInput()


def _choice(field: Field, text: str) -> forms.Widget:
    choices = [(choice, choice) for choice in field.choices]
    if not field.required or text not in field.choices:
        choices.insert(0, ("", "Choose…" if field.required else "None"))
    if text and text not in field.choices:
        choices.append((text, text))
    return forms.Select(choices=choices)


def _date(field: Field, text: str) -> forms.Widget:
    widget = forms.TextInput()
    if not text or problem(field, text) is None:
        widget.input_type = "date"  # which shows nothing at all where it does not understand
    return widget


def _json(field: Field, text: str) -> forms.Widget:
    return forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "autocapitalize": "none", "class": "mono"})


WIDGETS = {"text": _text, "number": _number, "boolean": _boolean, "choice": _choice, "date": _date, "json": _json}
