"""The public contract: it changes only with a line in the CHANGELOG, and it says what the code does."""

from __future__ import annotations

import hashlib
import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from executions.models import ExecutionStatus, Kind
from workflows import graph
from workflows.graph import check
from workflows.management.commands.load_examples import FOLDER
from workflowsite.api import api

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/contract.md").read_text(encoding="utf-8")
SCHEMA: dict[str, Any] = json.loads((ROOT / "docs/definition.schema.json").read_text(encoding="utf-8"))
EXAMPLES = sorted(FOLDER.glob("*.json"))

JSON_TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "number": (int, float),
    "null": type(None),
}


def test_it_changes_only_with_a_line_in_the_changelog() -> None:
    digest = hashlib.sha256((PAGE + json.dumps(SCHEMA, sort_keys=True)).encode()).hexdigest()[:12]
    said = f"contract {digest}"
    told = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert said in told, f"The contract changed: say what and why in CHANGELOG.md, and end the line with ({said})."


def test_every_name_it_promises_can_be_imported() -> None:
    rows = re.findall(r"^\| `(\w+\.\w+)` \| (.+) \|$", PAGE, re.MULTILINE)
    assert len(rows) == 4
    for module, names in rows:
        for name in re.findall(r"`(\w+)`", names):
            assert hasattr(import_module(module), name), f"{module}.{name}"


def test_it_names_every_status_and_every_kind_of_entry_and_no_other() -> None:
    table = PAGE.partition("The list of kinds is closed")[2].partition("`logged` is a line")[0]
    kinds = {kind for cell in re.findall(r"`([a-z_ ]+)`", table) for kind in cell.split()}
    assert kinds == set(Kind.values)
    assert all(f"`{status}`" in PAGE for status in ExecutionStatus.values)


def test_it_lists_every_route_of_the_api_and_no_other() -> None:
    promised = set(re.findall(r"^\| `([A-Z]+) (/api/[^`?]+)", PAGE, re.MULTILINE))
    schema = api.get_openapi_schema(path_prefix="/api/")
    real = {
        (method.upper(), re.sub(r"{\w+}", "{id}", path)) for path, item in schema["paths"].items() for method in item
    }
    assert promised == real


def violations(value: Any, schema: dict[str, Any], where: str = "definition") -> list[str]:
    """What breaks the schema: the few words of JSON Schema that ours uses, and a failure for any other."""
    if "$ref" in schema:
        return violations(value, SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], where)
    known = {"$schema", "$defs", "title", "description", "type", "required", "properties", "items"}
    assert not schema.keys() - known - {"minItems", "maxItems", "minLength", "pattern"}
    allowed = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    if not isinstance(value, tuple(JSON_TYPES[name] for name in allowed)):
        return [f"{where} is no {' or '.join(allowed)}"]
    if isinstance(value, dict):
        return of_object(value, schema, where)
    if isinstance(value, list):
        return of_list(value, schema, where)
    return of_text(value, schema, where) if isinstance(value, str) else []


def of_object(value: dict[str, Any], schema: dict[str, Any], where: str) -> list[str]:
    found = [f"{where} lacks {name}" for name in schema.get("required", []) if name not in value]
    for name, inner in schema.get("properties", {}).items():
        if name in value:
            found += violations(value[name], inner, f"{where}.{name}")
    return found


def of_list(value: list[Any], schema: dict[str, Any], where: str) -> list[str]:
    if not schema.get("minItems", 0) <= len(value) <= schema["maxItems"]:
        return [f"{where} has {len(value)} items"]
    return [text for index, item in enumerate(value) for text in violations(item, schema["items"], f"{where}[{index}]")]


def of_text(value: str, schema: dict[str, Any], where: str) -> list[str]:
    fits = re.search(schema.get("pattern", ""), value) and len(value) >= schema.get("minLength", 0)
    return [] if fits else [f"{where} is {value!r}"]


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_every_example_fits_the_schema(file: Path) -> None:
    assert violations(json.loads(file.read_text(encoding="utf-8"))["definition"], SCHEMA) == []


NODE = {"id": "a", "type": "input"}


@pytest.mark.parametrize(
    "definition",
    [
        None,
        [],
        {},
        {"nodes": {}},
        {"nodes": []},
        {"nodes": [5]},
        {"nodes": [{"type": "input"}]},
        {"nodes": [{"id": "a b", "type": "input"}]},
        {"nodes": [{"id": "a" * 65, "type": "input"}]},
        {"nodes": [{"id": "a", "type": ""}]},
        {"nodes": [{**NODE, "data": [1]}]},
        {"nodes": [NODE], "edges": "a-b"},
        {"nodes": [NODE], "edges": [{"source": "a"}]},
        {"nodes": [NODE], "edges": [{"source": "a", "target": 5}]},
        {"nodes": [NODE], "edges": [{"source": "a", "target": "a", "sourceHandle": 5}]},
    ],
    ids=str,
)
def test_what_the_schema_refuses_the_code_refuses(definition: Any) -> None:
    assert violations(definition, SCHEMA)
    codes = {problem.code for problem in check(definition)}
    assert codes and codes <= {"graph.shape", "graph.empty", "graph.bad_id"}


@pytest.mark.parametrize(
    "definition",
    [
        {"nodes": [NODE]},
        {"nodes": [NODE], "edges": None},
        {"nodes": [{**NODE, "data": None, "selected": True}], "edges": [], "viewport": {}},
    ],
    ids=str,
)
def test_what_the_schema_lets_pass_has_the_right_shape(definition: Any) -> None:
    assert violations(definition, SCHEMA) == [] and check(definition) == []


def test_the_schema_and_the_code_have_the_same_limits() -> None:
    node, edges = SCHEMA["$defs"]["node"]["properties"], SCHEMA["properties"]["edges"]
    assert node["id"]["pattern"] == f"^{graph.NODE_ID.pattern.removesuffix(chr(92) + 'Z')}$"
    assert (SCHEMA["properties"]["nodes"]["maxItems"], edges["maxItems"]) == (graph.MAX_NODES, graph.MAX_EDGES)


def test_every_code_of_a_rule_stands_in_the_contract() -> None:
    sources = [ROOT / "workflows/graph.py", ROOT / "workflows/steps/__init__.py", ROOT / "workflowsite/api.py"]
    text = "\n".join(source.read_text(encoding="utf-8") for source in sources)
    codes = set(re.findall(r'"((?:graph|step)\.[a-z_]+)"', text)) - {"stepstream.steps"}
    codes |= set(re.findall(r'refusal\(4\d\d, .*"([a-z_]+)"(?:, \w+=.*)?\)$', text, re.MULTILINE))
    assert len(codes) > 15
    assert [code for code in sorted(codes) if not re.search(rf"\b{re.escape(code)}\b", PAGE)] == []
