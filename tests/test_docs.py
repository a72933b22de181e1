"""The documentation is held against the code: what exists is documented, and what is shown works."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async

from workflows import manual, steps
from workflows.models import Workflow
from workflows.steps.origin import origin_of

ROOT = Path(__file__).resolve().parent.parent
BUILT_IN = [kind for kind in steps.kinds().values() if origin_of(kind).where == "built in"]


def page(name: str) -> str:
    return (ROOT / name).read_text()


def blocks(name: str, language: str) -> list[str]:
    """The code blocks of a page, without their indentation."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", page(name), re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


def test_the_page_about_the_steps_is_what_the_code_says() -> None:
    how = "manage.py step_kinds --docs > docs/steps.md"
    assert page("docs/steps.md") == manual.page(BUILT_IN), f"A step kind has changed: {how}"


def test_every_setting_is_documented() -> None:
    read = re.findall(r"""(?:text|number|flag|words|environ\.get)\("([A-Z_]+)\"""", page("workflowsite/settings.py"))
    documented = set(re.findall(r"`([A-Z_]+)`", page("docs/operate.md")))
    assert len(read) > 10
    assert set(read) <= documented


def test_every_command_is_documented() -> None:
    rooms = ("workflows", "executions", "workflowsite")
    ours = {path.stem for room in rooms for path in (ROOT / room).rglob("commands/[a-z]*.py")}
    assert "serve" in ours
    assert ours <= set(re.findall(r"`manage\.py (\w+)", page("docs/operate.md")))


def test_links_between_the_pages_lead_somewhere() -> None:
    for source in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target, place in re.findall(
            r"\]\(([^)#:]*)#?([^)]*)\)", re.sub(r"\]\(https?:.*?\)", "", source.read_text())
        ):
            aim = source.parent / target if target else source
            assert aim.exists(), f"{source.name} links to {target}"
            if place:
                titles = re.findall(r"^#+ (.+)$", aim.read_text(), re.MULTILINE)
                assert place in map(manual.anchor, titles), f"{source.name} links to {target}#{place}"


@pytest.mark.django_db(transaction=True)
async def test_the_readmes_workflow_and_code_work() -> None:
    (definition,) = blocks("README.md", "json")
    workflow = await Workflow.objects.acreate(name="From the README")
    await sync_to_async(workflow.publish)(json.loads(definition))
    room: dict[str, object] = {}
    exec(blocks("README.md", "python")[0], room)
    shout = room["shout"]
    assert await shout(workflow.pk) == {"name": "ADA", "result": {"name": "ADA"}}  # type: ignore[operator]


def test_the_step_kind_of_the_docs_comes_in_by_extra_apps(tmp_path: Path) -> None:
    (tmp_path / "greetings").mkdir()
    (tmp_path / "greetings" / "__init__.py").touch()
    (tmp_path / "greetings" / "apps.py").write_text(blocks("docs/extend.md", "python")[0])
    program = "import django; django.setup(); from workflows import steps; print(steps.kinds()['greet'].label)"
    env = {
        "PYTHONPATH": f"{tmp_path}:{ROOT}",
        "EXTRA_APPS": "greetings",
        "DATA_DIR": str(tmp_path / "data"),
        "DJANGO_SETTINGS_MODULE": "workflowsite.settings",
    }
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "Greet", done.stderr


def test_the_contract_test_of_the_docs_passes(tmp_path: Path) -> None:
    """A project of its own, with the kind and the test as the page has them."""
    (tmp_path / "greetings").mkdir()
    (tmp_path / "greetings" / "__init__.py").touch()
    kind, test = blocks("docs/extend.md", "python")
    (tmp_path / "greetings" / "apps.py").write_text(kind)
    (tmp_path / "test_greet.py").write_text(test)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nDJANGO_SETTINGS_MODULE = workflowsite.settings\n"
    )
    env = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "EXTRA_APPS": "greetings", "DATA_DIR": str(tmp_path / "data")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
