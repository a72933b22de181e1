"""What a person types to make or change a workflow: its name, what it is for, and its definition as JSON."""

from __future__ import annotations

from typing import Any

from django import forms

from workflows import values
from workflows.errors import InputError
from workflows.models import Workflow

#: A new workflow starts as something that works.
STARTER = {
    "nodes": [
        {"id": "input", "type": "input", "data": {"label": "Input", "example": {"text": "hello"}}},
        {"id": "shout", "type": "process", "data": {"label": "Upper case", "operation": "uppercase"}},
        {"id": "output", "type": "output", "data": {"label": "Output"}},
    ],
    "edges": [{"source": "input", "target": "shout"}, {"source": "shout", "target": "output"}],
}


class WorkflowForm(forms.ModelForm):
    """`definition` cleans to the value that was typed: JSON that can be kept, but perhaps not yet be published."""

    definition = forms.CharField(
        strip=False,
        help_text="JSON with “nodes” (id, type, data) and “edges” (source, target).",
        widget=forms.Textarea(attrs={"rows": 32, "spellcheck": "false", "autocapitalize": "none", "class": "mono"}),
    )

    class Meta:
        model = Workflow
        fields = ("name", "description")
        widgets = {"description": forms.Textarea(attrs={"rows": 3})}
        help_texts = {"description": "What it does, and for whom."}

    def point_out(self) -> None:
        """Puts the cursor into the first field with an error, wherever on the page it is."""
        for name in list(self.errors)[:1]:
            self.fields[name].widget.attrs["autofocus"] = True

    def clean_definition(self) -> dict[str, Any]:
        try:
            definition = values.parse(self.cleaned_data["definition"], "definition")
            values.require(definition, "definition")
        except InputError as error:
            raise forms.ValidationError(error.message) from None
        if not isinstance(definition, dict):
            raise forms.ValidationError("A definition is a JSON object with “nodes” and “edges”.")
        return definition
