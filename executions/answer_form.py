"""The form in which people answer a question: yes or no, a field for each that it asks for, a comment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django import forms
from django.forms.boundfield import BoundField

from executions.answering import COMMENT_LENGTH, asked_for, fields_of
from executions.forms import form_field, name_of
from executions.models import ExecutionWait
from workflows import fields
from workflows.answers import text_of
from workflows.errors import InputError
from workflows.fields import Field

DECISIONS = ("approved", "rejected")


class AnswerForm(forms.Form):
    """`values` and `approved`: the answer, once the form is valid. `wait`: which question it was made for."""

    wait = forms.CharField(required=False, widget=forms.HiddenInput)
    decision = forms.CharField(required=False, widget=forms.HiddenInput)
    comment = forms.CharField(
        label="Comment", required=False, widget=forms.Textarea(attrs={"rows": 2, "autocomplete": "off"})
    )

    def __init__(self, wait: ExecutionWait, data: Any = None) -> None:
        super().__init__(data, auto_id=f"wait-{wait.pk}-%s", initial={"wait": str(wait.pk), **_offered(wait)})
        self.question, self.asked = wait, fields_of(wait)
        self.values: dict[str, Any] = {}
        texts = self.data if self.is_bound else self.initial
        for field in self.asked:
            self.fields[name_of(field)] = form_field(field, str(texts.get(name_of(field), "")))

    @property
    def approved(self) -> bool:
        return bool(self.cleaned_data["decision"] == "approved")

    def clean(self) -> None:
        if self.cleaned_data.get("wait") != str(self.question.pk):
            text = "The question was asked anew while you read it. Look at it again before you answer."
            self.add_error(None, text)
        if self.cleaned_data.get("decision") not in DECISIONS:
            self.add_error(None, "Press Approve or Reject: this form does not choose for you.")
        if len(comment := self.cleaned_data.get("comment", "")) > COMMENT_LENGTH:
            told = f"The comment may have at most {COMMENT_LENGTH:,} characters; it has {len(comment):,}."
            self.add_error("comment", told)
        try:
            asked = asked_for(self.question, self.cleaned_data.get("decision") != "rejected")
            texts = {field.name: str(self.data.get(name_of(field), "")) for field in asked}
            self.values = fields.read(asked, texts, "values")
        except InputError as error:
            self.refuse(error)

    def refuse(self, error: InputError) -> None:
        """Says what is wrong at the field that it is about."""
        for name, sentence in error.problems.items():
            self.add_error(f"field-{name}", sentence)
        if not error.problems:
            self.add_error("comment" if error.field == "comment" else None, error.message)

    def rows(self) -> Iterator[tuple[Field, BoundField]]:
        """For the template."""
        return ((field, self[name_of(field)]) for field in self.asked)


def _offered(wait: ExecutionWait) -> dict[str, str]:
    return {name_of(field): text_of(field, field.default) for field in fields_of(wait)}
