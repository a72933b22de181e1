"""The table of the docs for people who come from n8n: each generic kind there has a counterpart that exists."""

from __future__ import annotations

import re
from pathlib import Path

from workflows.steps import kinds

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "transform.md").read_text()
ROWS = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", PAGE.partition("## Coming from n8n")[2], re.MULTILINE)[1:]
GENERIC = [
    *("set", "if", "merge", "splitOut", "filter", "aggregate", "limit", "itemLists", "removeDuplicates", "summarize"),
    *("sort", "dateTime", "crypto", "html", "markdown", "xml", "extractFromFile", "convertToFile", "rssFeedRead"),
    *("code", "function", "wait", "splitInBatches", "executeWorkflow", "executeWorkflowTrigger", "httpRequest"),
    *("emailSend", "readWriteFile", "graphql", "switch", "postgres", "respondToWebhook", "formTrigger"),
]


def test_every_generic_kind_has_a_counterpart() -> None:
    there = {name.strip() for names, _ in ROWS for name in names.split(",")}
    assert set(GENERIC) <= there


def test_every_counterpart_exists() -> None:
    details = {"join", "batches", "feed_read"}
    here = {name for _, names in ROWS for name in re.findall(r"`(\w+)`", names)} - details
    assert {"set", "list", "compute", "convert"} <= here
    assert here <= set(kinds())
