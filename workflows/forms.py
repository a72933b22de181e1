"""What a person types about a workflow: its name, what it is for, how it is found, and its definition as JSON."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib.auth.models import Group

from workflows import values
from workflows.errors import InputError
from workflows.models import Workflow
from workflows.permissions import can


class NewForm(forms.Form):
    name = forms.CharField(max_length=200, required=False, widget=forms.TextInput(attrs={"autofocus": True}))


class AboutForm(forms.ModelForm):
    tags = forms.CharField(
        max_length=500,
        required=False,
        help_text="Words by which it is found, with commas between them: billing, nightly.",
    )

    class Meta:
        model = Workflow
        fields = ("name", "description", "group", "max_parallel", "time_zone")
        labels = {"group": "Shared with", "max_parallel": "Steps at the same time"}
        widgets = {"description": forms.Textarea(attrs={"rows": 3})}
        help_texts = {
            "description": "What it does, and for whom.",
            "group": "Members may see, run and edit it.",
            "max_parallel": "How many steps of one execution may run at once; 1 is strictly one after another.",
            "time_zone": "What its dates mean, such as Europe/Berlin. Empty: the time zone of the installation.",
        }

    field_order = ("name", "description", "tags", "group", "max_parallel", "time_zone")

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["tags"] = ", ".join(tag.name for tag in self.instance.tags.all())
        if can(user, "administer", self.instance):
            mine = Group.objects.all() if user.is_superuser else user.groups.all()
            self.fields["group"].empty_label = "Nobody"  # type: ignore[attr-defined]
            self.fields["group"].queryset = (mine | Group.objects.filter(pk=self.instance.group_id)).distinct()  # type: ignore[attr-defined]
        else:
            del self.fields["group"]

    def clean_tags(self) -> list[str]:
        names = [" ".join(name.split()).lower() for name in self.cleaned_data["tags"].split(",")]
        long = next((name for name in names if len(name) > 40), None)
        if long:
            raise forms.ValidationError(f"“{long[:40]}…” is too long: a tag has at most 40 characters.")
        return [name for name in names if name]

    def clean_time_zone(self) -> str:
        zone: str = self.cleaned_data["time_zone"]
        if zone and zone not in available_timezones():
            raise forms.ValidationError(f"“{zone}” is no time zone; they are called like Europe/Berlin or UTC.")
        return zone

    def save(self, commit: bool = True) -> Workflow:
        workflow = super().save(commit=False)
        workflow.save(update_fields=[*(name for name in self.fields if name != "tags"), "updated_at"])
        workflow.set_tags(self.cleaned_data["tags"])
        return workflow


class DefinitionForm(forms.Form):
    """`definition` cleans to the value that was typed: JSON that can be kept, but perhaps not yet be published."""

    definition = forms.CharField(
        strip=False,
        help_text="JSON with “nodes” (id, type, data) and “edges” (source, target).",
        widget=forms.Textarea(attrs={"rows": 32, "spellcheck": "false", "autocapitalize": "none", "class": "mono"}),
    )

    def clean_definition(self) -> dict[str, Any]:
        try:
            definition = values.parse(self.cleaned_data["definition"], "definition")
            values.require(definition, "definition")
        except InputError as error:
            raise forms.ValidationError(error.message) from None
        if not isinstance(definition, dict):
            raise forms.ValidationError("A definition is a JSON object with “nodes” and “edges”.")
        return definition
