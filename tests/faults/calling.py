"""An engine whose step calls another system, to be killed while the answer is under way.

Run as `python -m tests.faults.calling FOLDER URL`: goes on with whatever is there, to its end. The first run makes it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from tests.faults import nursery


def main(folder: Path, url: str) -> None:
    os.environ["DATA_DIR"], os.environ["DJANGO_SETTINGS_MODULE"] = str(folder), "workflowsite.settings"
    os.environ.pop("DATABASE_URL", None)
    import django

    django.setup()
    room: Any = Calling(url)
    if not (folder / "db.sqlite3").exists():
        nursery.lay_out(room)
    asyncio.run(nursery.carry(room))


class Calling:
    def __init__(self, url: str) -> None:
        self._url = url

    def set_up(self) -> None:
        from executions.engine import WorkflowEngine
        from workflows.models import Workflow

        config = {"url": self._url, "method": "POST", "policy": {"attempts": 5, "backoff_s": 0}}
        workflow = Workflow.objects.create(name="Pays")
        workflow.publish({"nodes": [{"id": "pay", "type": "http", "data": config}], "edges": []})
        WorkflowEngine().submit(workflow.pk)

    def register(self) -> None:
        """The kinds that are there are enough."""

    def tend(self) -> None:
        """Nobody has to do anything here."""


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
