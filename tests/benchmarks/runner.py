"""The engine in a process of its own, until SIGTERM: what `manage.py worker` does, where there is no such command."""

from __future__ import annotations

import asyncio
import os
import signal

import django


async def carried() -> None:
    from executions.worker import current_worker

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    worker = current_worker()
    await worker.start()
    await stop.wait()
    await worker.stop()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "workflowsite.settings")
    django.setup()
    asyncio.run(carried())
