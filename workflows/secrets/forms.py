"""What a person types about a secret or a variable. A secret's value goes in and never comes back into a page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import Group
from django.db.models import QuerySet

from workflows import values
from workflows.errors import InputError
from workflows.models import Secret, Variable, Workflow
from workflows.models import secret as secrets
from workflows.models import variable as variables
from workflows.models.named import clean_name

PLAIN: dict[str, Any] = {"autocomplete": "off", "spellcheck": "false", "autocapitalize": "none"}
KINDS = {"text": "Text", "number": "Number", "boolean": "Yes or no", "json": "JSON"}


class Veiled(forms.Textarea):
    """What is typed here is shown by nobody: neither while it is typed, nor when the form comes back."""

    def __init__(self) -> None:
        super().__init__({**PLAIN, "rows": 3, "class": "mono veiled"})

    def format_value(self, value: Any) -> str:
        return ""


class NamedForm(forms.Form):
    """`refuse` gives what the row itself refused to its field."""

    group = forms.ModelChoiceField(Group.objects.none(), required=False, label="Shared with", empty_label="Nobody")
    description = forms.CharField(max_length=300, required=False, help_text="What it is for.")

    def offer_groups(self, user: Any, chosen: Group | None) -> None:
        mine: QuerySet[Group] = Group.objects.all() if user.is_superuser else user.groups.all()
        others = Group.objects.filter(pk__in=[chosen.pk] if chosen else [])
        self.fields["group"].queryset = (mine | others).distinct()  # type: ignore[attr-defined]

    def refuse(self, error: InputError) -> None:
        self.add_error(error.field if error.field in self.fields else None, error.message)


class SecretForm(NamedForm):
    """`secret`: the one that is changed, None for a new one, which `workflow` may be the first to use."""

    name = forms.CharField(
        max_length=64,
        help_text="Steps choose it by this name, which stays: letters, digits and “_”, such as SHOP_KEY.",
        widget=forms.TextInput(PLAIN),
    )
    value = forms.CharField(strip=False, widget=Veiled())
    hosts = forms.CharField(
        label="May go to",
        help_text="Hosts, one a line: api.example.com, localhost:8080, *.example.com. * is anywhere: then whoever "
        "edits a workflow that uses it can send it to a server of their own.",
        widget=forms.Textarea({**PLAIN, "rows": 3, "class": "mono"}),
    )
    field_order = ("name", "value", "hosts", "group", "description")

    def __init__(
        self, typed: Any, *, user: Any, secret: Secret | None = None, workflow: Workflow | None = None
    ) -> None:
        initial = _facts(secret) if secret else _for(workflow, user)
        super().__init__(typed, initial=initial, auto_id="secret-%s")
        self.secret, group = secret, initial.get("group")
        self.offer_groups(user, group)
        self.fields[
            "group"
        ].help_text = "Workflows that are shared with this group may use it; its members see the name."
        self.fields["value"].help_text = "At least 6 characters. It is encrypted, and nobody can read it here again."
        if secret:
            del self.fields["name"]
            self.fields["value"].required = secret.is_empty
            self.fields["value"].label = "New value"
            self.fields["value"].help_text += "" if secret.is_empty else " Empty: it stays as it is."

    def clean_name(self) -> str:
        try:
            return clean_name(self.cleaned_data["name"], "secret")
        except InputError as error:
            raise forms.ValidationError(error.message) from None

    def clean_value(self) -> str:
        """As it was pasted: browsers send line ends of their own, and a copied token often has a space behind it."""
        value: str = self.cleaned_data["value"].replace("\r\n", "\n")
        value = value if "\n" in value.strip() else value.strip()
        name = self.secret.name if self.secret else self.data.get("name", "")
        try:
            return secrets.clean_value(value, name) if value or not self.secret else ""
        except InputError as error:
            raise forms.ValidationError(error.message) from None

    def clean_hosts(self) -> list[str]:
        try:
            return secrets.clean_hosts(self.cleaned_data["hosts"].replace(",", "\n").splitlines())
        except InputError as error:
            raise forms.ValidationError(error.message) from None


class VariableForm(NamedForm):
    name = forms.CharField(
        max_length=64,
        help_text="Steps read it as {{ vars.NAME }}: letters, digits and “_”. It stays.",
        widget=forms.TextInput(PLAIN),
    )
    kind = forms.ChoiceField(choices=list(KINDS.items()), label="Kind", initial="text")
    value = forms.CharField(
        required=False,
        strip=False,
        widget=forms.Textarea({**PLAIN, "rows": 3, "class": "mono"}),
        help_text="Whoever may use it may see it, and it stands in logs: what nobody should read is a secret.",
    )
    for_all = forms.BooleanField(
        required=False, label="For all workflows", help_text="Of everybody here; it then belongs to no person."
    )
    field_order = ("name", "kind", "value", "group", "description", "for_all")

    def __init__(self, typed: Any, *, user: Any, variable: Variable | None = None) -> None:
        initial = _told(variable) if variable else {}
        super().__init__(typed, initial=initial, auto_id="variable-%s")
        self.offer_groups(user, initial.get("group"))
        self.fields["group"].help_text = "Workflows that are shared with this group may use it."
        if variable or not user.is_superuser:
            del self.fields["for_all"]
        if variable:
            del self.fields["name"]
        if variable and variable.owner_id is None:
            del self.fields["group"]

    def clean_name(self) -> str:
        try:
            return clean_name(self.cleaned_data["name"], "variable")
        except InputError as error:
            raise forms.ValidationError(error.message) from None

    def clean(self) -> dict[str, Any]:
        """`value` becomes what it is."""
        given = self.cleaned_data
        if "value" in given and "kind" in given:
            try:
                given["value"] = variables.clean_value(typed(given["kind"], given["value"].replace("\r\n", "\n")))
            except InputError as error:
                self.add_error("value", error.message)
        if given.get("for_all") and given.get("group"):
            self.add_error("group", "What is for all workflows is not shared with a group as well.")
        return given


def typed(kind: str, text: str) -> Any:
    """The JSON value that somebody means. Raises InputError."""
    if kind == "text":
        return text
    if kind == "boolean":
        return _yes_or_no(text)
    value = values.parse(text.strip(), "value")
    if kind == "number" and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise InputError(f"“{text.strip()[:60]}” is no number.", "value")
    return value


def _yes_or_no(text: str) -> bool:
    word = text.strip().lower()
    if word not in ("yes", "no", "true", "false"):
        raise InputError(f"“{word[:60]}” is neither yes nor no.", "value")
    return word in ("yes", "true")


def _facts(secret: Secret) -> dict[str, Any]:
    return {"hosts": "\n".join(secret.hosts), "group": secret.group, "description": secret.description}


def _told(variable: Variable) -> dict[str, Any]:
    return {
        "kind": variable.kind,
        "value": variable.shown,
        "group": variable.group,
        "description": variable.description,
    }


def _for(workflow: Workflow | None, user: Any) -> dict[str, Any]:
    """Who makes one for somebody else's workflow shares it with its group: else that could not use it."""
    group = workflow.group if workflow and workflow.owner_id != user.pk and not user.is_superuser else None
    return {"group": group}
