"""What a person types to start an execution."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.conf import settings

from workflows import values
from workflows.errors import InputError


class RunForm(forms.Form):
    """`input_data`: a JSON object, as text. `key`: made with the form, so that a double click gives one execution."""

    input_data = forms.CharField(
        label="Input",
        help_text="A JSON object: what the first step gets.",
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 14, "spellcheck": "false", "autocapitalize": "none", "class": "mono"}),
    )
    key = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    def clean_input_data(self) -> dict[str, Any]:
        text = self.cleaned_data["input_data"]
        try:
            return values.require_object(
                values.parse(text or "{}", "Input"), "Input", max_bytes=settings.ENGINE["INPUT_BYTES"]
            )
        except InputError as error:
            raise forms.ValidationError(error.message) from None


def new_key() -> str:
    return uuid.uuid4().hex
