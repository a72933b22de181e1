"""What a person types about a workflow: its name, what it is for, how it is found, and its definition as JSON."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.contrib.auth.models import Group
from django.db.models import Q
from django.forms.boundfield import BoundField

from workflows import spans, values
from workflows.errors import InputError
from workflows.models import Workflow
from workflows.moments import is_path
from workflows.permissions import can, startable, visible_to


class NewForm(forms.Form):
    name = forms.CharField(max_length=200, required=False, widget=forms.TextInput(attrs={"autofocus": True}))


class AboutForm(forms.ModelForm):
    tags = forms.CharField(
        max_length=500,
        required=False,
        help_text="Words by which it is found, with commas between them: billing, nightly.",
    )
    time_limit = forms.CharField(
        max_length=100,
        required=False,
        label="Time limit",
        help_text="What one execution may take, such as 30 min or 2 h; waits count, pauses do not. Empty: no limit.",
    )

    class Meta:
        model = Workflow
        fields = (
            *("name", "description", "group", "max_parallel", "time_zone"),
            *("concurrency", "concurrency_key", "concurrency_per_key", "priority", "token_budget"),
            *("on_failure", "keep_days"),
        )
        labels = {
            "group": "Shared with",
            "max_parallel": "Steps at the same time",
            "concurrency": "Executions at the same time",
            "concurrency_key": "Group executions by",
            "concurrency_per_key": "Of one group at the same time",
            "token_budget": "Token budget",
            "on_failure": "Start this workflow",
            "keep_days": "Days to keep executions",
        }
        widgets = {"description": forms.Textarea(attrs={"rows": 3})}
        help_texts = {
            "description": "What it does, and for whom.",
            "group": "Members may see, run and edit it.",
            "max_parallel": "How many steps of one execution may run at once; 1 is strictly one after another.",
            "time_zone": "What its dates mean, such as Europe/Berlin. Empty: the time zone of the installation.",
            "concurrency": "How many may be under way, waits included; the others wait their turn. Empty: no limit.",
            "concurrency_key": "A place in the input, such as customer.id: executions with the same value there "
            "are one group. Empty: no groups.",
            "concurrency_per_key": "How many executions of one group may be under way.",
            "priority": "Of those that are due, workers take the more urgent ones first.",
            "token_budget": "Tokens of language models that one execution may take, with all that it calls. Then it "
            "pauses, and whoever resumes it grants as many again. Empty: no limit.",
            "on_failure": "It gets the error, which execution it was, and its input. Tries of a draft do not count.",
        }

    field_order = ("name", "description", "tags", "group", "max_parallel", "time_zone")
    SECTIONS = (
        ("", ("name", "description", "tags", "group")),
        ("Runs", ("max_parallel", "concurrency", "concurrency_key", "concurrency_per_key", "priority")),
        ("Language models", ("token_budget",)),
        ("Time", ("time_limit", "time_zone")),
        ("When an execution fails", ("on_failure",)),
        ("History", ("keep_days",)),
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["tags"] = ", ".join(tag.name for tag in self.instance.tags.all())
        self.initial["time_limit"] = spans.said(self.instance.time_limit_s)
        for name in ("concurrency_per_key", "priority"):
            self.fields[name].required = False  # what is left out stays as it is
        default = settings.RETENTION_DAYS
        self.fields["keep_days"].help_text = (
            f"Counted from their end; 0: for ever. Empty: as the installation has it, {default or 'for ever'}"
            f"{' days' if default else ''}."
        )
        self._offer_groups(user)
        self._offer_workflows(user)

    def _offer_groups(self, user: Any) -> None:
        if can(user, "administer", self.instance):
            mine = Group.objects.all() if user.is_superuser else user.groups.all()
            self.fields["group"].empty_label = "Nobody"  # type: ignore[attr-defined]
            self.fields["group"].queryset = (mine | Group.objects.filter(pk=self.instance.group_id)).distinct()  # type: ignore[attr-defined]
        else:
            del self.fields["group"]

    def _offer_workflows(self, user: Any) -> None:
        """Those that this person and the owner may run; one that somebody else chose and this one may not see is left
        alone."""
        chosen = self.instance.on_failure_id
        if chosen and not visible_to(user).filter(pk=chosen).exists():
            del self.fields["on_failure"]
            return
        self.fields["on_failure"].empty_label = "None"  # type: ignore[attr-defined]
        self.fields["on_failure"].queryset = visible_to(user).filter(  # type: ignore[attr-defined]
            Q(pk__in=startable(user, self.instance).exclude(pk=self.instance.pk).filter(archived_at=None))
            | Q(pk=chosen)
        )

    def sections(self) -> list[tuple[str, list[BoundField]]]:
        """For the template: (heading, fields)."""
        return [(title, [self[name] for name in names if name in self.fields]) for title, names in self.SECTIONS]

    def clean_time_limit(self) -> int | None:
        try:
            return spans.seconds(self.cleaned_data["time_limit"])
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None

    def clean_concurrency_key(self) -> str:
        path: str = self.cleaned_data["concurrency_key"].strip()
        if path and not is_path(path):
            raise forms.ValidationError(f"“{path[:60]}” is no place in the input; write it like customer.id.")
        return path

    def clean_concurrency_per_key(self) -> int:
        number: int | None = self.cleaned_data["concurrency_per_key"]
        return self.instance.concurrency_per_key if number is None else number

    def clean_priority(self) -> int:
        chosen: Any = self.cleaned_data["priority"]
        return self.instance.priority if chosen in (None, "") else int(chosen)

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
        workflow.time_limit_s = self.cleaned_data["time_limit"]
        own = [name for name in self.fields if name not in ("tags", "time_limit")]
        workflow.save(update_fields=[*own, "time_limit_s", "updated_at"])
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
