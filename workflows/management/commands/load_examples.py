"""Brings in the example workflows, each once: one that was deleted or archived stays away.

They stand in workflows/examples/, a JSON file each: {"name", "description", "definition"}; the file's name is its slug.
They belong to nobody, so everybody who is signed in may see and run them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from workflows.models import LoadedExample, Workflow

FOLDER = Path(__file__).resolve().parents[2] / "examples"


class Command(BaseCommand):
    help = "Loads each example workflow that was never loaded before."

    def handle(self, *args: Any, **options: Any) -> None:
        known = set(LoadedExample.objects.values_list("slug", flat=True))
        files = sorted(FOLDER.glob("*.json"))
        loaded = sum(load(file) for file in files if file.stem not in known)
        self.stdout.write(f"Examples: {loaded} loaded, {len(files) - loaded} known already.")


def load(file: Path) -> bool:
    """Publishes one example; False where another process was quicker. Raises DefinitionError for a bad file."""
    example = json.loads(file.read_text(encoding="utf-8"))
    with transaction.atomic():
        _, is_new = LoadedExample.objects.get_or_create(slug=file.stem)
        if is_new:
            workflow = Workflow.objects.create(name=example["name"], description=example["description"], owner=None)
            workflow.publish(example["definition"])
    return is_new
