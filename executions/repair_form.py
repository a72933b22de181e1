"""What a person fills in to repair a failed step: why, and how it is to go on. Nothing that was typed is lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import NON_FIELD_ERRORS

from executions.repair import Repair
from workflows import values
from workflows.errors import InputError

HOW = {
    "again": "Try it again as it is",
    "input": "Try it again with another input",
    "output": "Leave it out, and go on with an output that I give",
}
AREA = {"rows": 10, "spellcheck": "false", "autocapitalize": "none", "class": "mono"}
PLACES = {"input_data": "given", "output_data": "output", "handle": "handle"}  # the engine's names for our fields


class RepairForm(forms.Form):
    reason = forms.CharField(label="Why", max_length=500, help_text="Stands in the log, with your name.", required=True)
    how = forms.ChoiceField(label="How it goes on", choices=list(HOW.items()), widget=forms.RadioSelect)
    given = forms.CharField(label="Input", required=False, strip=False, widget=forms.Textarea(attrs=AREA))
    output = forms.CharField(label="Output", required=False, strip=False, widget=forms.Textarea(attrs=AREA))
    handle = forms.ChoiceField(label="It leaves by", required=False)

    def __init__(self, *args: Any, has_step: bool = True, handles: Sequence[str] = (), **how: Any) -> None:
        """`has_step`: False where no step failed, but a limit ended the execution. `handles`: of the step."""
        super().__init__(*args, **how)
        self.has_step = has_step
        if not has_step:
            self._ask("how").choices = [("again", "Go on from where it was")]
        if len(handles) > 1:
            self._ask("handle").choices = [(handle, handle) for handle in handles]
        else:
            del self.fields["handle"]
        if not self.is_bound:
            self.fields["reason"].widget.attrs["autofocus"] = True

    def _ask(self, name: str) -> forms.ChoiceField:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        return field

    def clean_reason(self) -> str:
        reason: str = self.cleaned_data["reason"]
        if values.clean_text(reason) != reason:
            raise forms.ValidationError("It holds a sign that cannot be kept. Type it again.")
        return reason

    def clean(self) -> None:
        """Only what was chosen is read."""
        how = self.cleaned_data.get("how")
        name = {"input": "given", "output": "output"}.get(how or "")
        if name:
            label = str(self.fields[name].label)
            try:
                text = self.cleaned_data.get(name) or "{}"
                limit = settings.ENGINE["INPUT_BYTES"]
                self.value = values.require_object(values.parse(text, label), label, max_bytes=limit)
            except InputError as error:
                self.add_error(name, error.message)

    def repair(self, node_id: str | None) -> Repair:
        how, data = self.cleaned_data["how"], self.cleaned_data
        given, output = (self.value if how == name else None for name in ("input", "output"))
        return Repair(
            node_id, data["reason"], given, output, data.get("handle") or None if output is not None else None
        )

    def refuse(self, error: InputError) -> None:
        """Says what the engine said, at the place that it is about."""
        name = PLACES.get(error.field.partition(".")[0])
        name = "output" if name == "given" and self.cleaned_data.get("how") == "output" else name
        self.add_error(name if name in self.fields else None, error.message)

    @property
    def problems(self) -> list[tuple[str, str]]:
        """(the id of the field or "", sentence), for the summary."""
        return [
            ("" if name == NON_FIELD_ERRORS else self[name].id_for_label or f"id_{name}_0", str(sentence))
            for name, sentences in self.errors.items()
            for sentence in sentences
        ]
