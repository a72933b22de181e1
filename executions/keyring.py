"""Hands a running step the value of a secret, where its workflow may use it and it may go where it is to go.

Reads the database and decrypts: call it in a thread. Every refusal names the secret, never the value, and says who can
mend it and where.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from contextlib import suppress

from django.db import DatabaseError
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from workflows.errors import VaultError, WorkflowStepError
from workflows.models import Secret, Workflow
from workflows.secrets import hosts
from workflows.values import clean_text

log = logging.getLogger(__name__)


@sensitive_variables("value")
def reveal(workflow_id: int, name: str, host: str) -> str:
    """The value of the secret `name`, to be sent to `host` (“api.example.com”, “localhost:8080”).

    Raises WorkflowStepError, which is permanent.
    """
    secret = _meant(workflow_id, name)
    _require_host(secret, host)
    try:
        value = secret.reveal()
    except VaultError as error:
        log.error("The secret %s (%s) could not be decrypted: %s", secret.pk, name, error.message)
        raise _refusal(_unreadable(secret), name) from None
    _mark_used(secret)
    return value


@sensitive_variables("values")
def given(workflow_id: int, names: Collection[str]) -> dict[str, str]:
    """The values of those secrets that are still there and can be read, to be hidden and for nothing else."""
    workflow = Workflow.objects.select_related("owner", "group").only("name", "owner", "group").get(pk=workflow_id)
    known, values = Secret.objects.filter(name__in=names).by_name(workflow), dict[str, str]()
    for name, secret in known.items():
        with suppress(VaultError):
            values[name] = secret.reveal()
    return values


def _meant(workflow_id: int, name: str) -> Secret:
    workflow = Workflow.objects.select_related("owner", "group").only("name", "owner", "group").get(pk=workflow_id)
    if workflow.owner is None:
        raise _refusal(
            f"“{workflow.name}” has no owner, so it may use no secret, “{name[:80]}” neither. Copy it: the copy is "
            "yours, and uses your secrets.",
            name,
        )
    secret = Secret.objects.select_related("owner").meant_by(clean_text(name), workflow)
    if secret is None:
        of_group = f", nor the group {workflow.group.name} that it shares" if workflow.group else ""
        owner = workflow.owner.get_username()
        raise _refusal(
            f"There is no secret “{name[:80]}” that this workflow may use: its owner {owner} has none of this name"
            f"{of_group}. {owner} can make it under Secrets and variables.",
            name,
        )
    return secret


def _require_host(secret: Secret, host: str) -> None:
    if hosts.allows(secret.hosts, host):
        return
    raise _refusal(
        f"The secret “{secret.name}” may not go to {host[:120] or 'a host without a name'}, only to "
        f"{', '.join(secret.hosts)[:400]}. {secret.owner.get_username()}, whose it is, can add the host under Secrets "
        "and variables.",
        secret.name,
    )


def _unreadable(secret: Secret) -> str:
    who = secret.owner.get_username()
    if secret.is_empty:
        return f"The secret “{secret.name}” has no value any more. {who} can give it one under Secrets and variables."
    return (
        f"The secret “{secret.name}” cannot be decrypted with the keys of this server. Its administrator finds the "
        f"reason in the log; or {who} gives it its value again under Secrets and variables."
    )


def _mark_used(secret: Secret) -> None:
    """A step does not fail because a date could not be written."""
    try:
        secret.mark_used(timezone.now())
    except DatabaseError:
        log.warning("That secret %s was used could not be noted", secret.pk, exc_info=True)


def _refusal(text: str, name: str) -> WorkflowStepError:
    return WorkflowStepError(text, {"secret": name[:80]}, is_permanent=True)
