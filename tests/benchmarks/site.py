"""What the benches share: a fresh database below DATA_DIR, definitions, and their one line of output."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import django

SCALE = float(os.environ.get("BENCH_SCALE", "1"))


def set_up() -> None:
    """Django on a fresh SQLite file, laid out and migrated as `make run` does it; or DATABASE_URL's."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "workflowsite.settings"
    os.environ["EXTRA_APPS"] = "tests.benchmarks"
    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connections

    from workflowsite.database import lay_out
    from workflowsite.process import collect_less_often

    if "sqlite" in settings.DATABASES["default"]["ENGINE"]:
        lay_out(Path(settings.DATABASES["default"]["NAME"]))
    call_command("migrate", verbosity=0)
    connections.close_all()
    collect_less_often()  # as `serve` and `worker` do


def many(number: int) -> int:
    """As many of something as a bench wants, times BENCH_SCALE: 0.1 is a quick look that proves nothing."""
    return max(1, round(number * SCALE))


def published(definition: dict[str, Any], **fields: Any) -> int:
    from workflows.models import Workflow

    workflow = Workflow.objects.create(name="Bench", **fields)
    workflow.publish(definition)
    return workflow.pk


def chain(*nodes: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """Steps one after another, as (type, config); ids are short: n0, n1, …"""
    ids = [f"n{index}" for index in range(len(nodes))]
    return {
        "nodes": [
            {"id": node_id, "type": kind, "data": config} for node_id, (kind, config) in zip(ids, nodes, strict=True)
        ],
        "edges": [{"source": ids[index], "target": ids[index + 1]} for index in range(len(ids) - 1)],
    }


CHAIN3 = chain(("input", {}), ("process", {"operation": "uppercase"}), ("output", {}))


def say(figures: dict[str, dict[str, Any]]) -> None:
    print(json.dumps(figures))


def resident_mb(pid: int | str = "self") -> float:
    """Resident memory in MB (10**6 bytes), from the kernel's own account."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError("no VmRSS")
