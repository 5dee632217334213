"""The documentation is executed: commands parse, examples run, links lead somewhere, nothing is
left out."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

import leaven
from leaven import api
from leaven.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = {page: page.read_text(encoding="utf-8") for page in PAGES}
WHOLE = "\n".join(TEXT.values())
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page whose first line is exactly `language`."""
    return [code for head, code in _FENCE.findall(TEXT[page]) if head.strip() == language]


def command_lines() -> list[tuple[Path, str]]:
    """Each `leaven …` line of a shell block, and each in backticks within a sentence."""
    found = []
    for page in PAGES:
        lines = [line for code in blocks(page, "sh") for line in code.splitlines()]
        lines += re.findall(r"`(leaven [^`\n]+)`", _FENCE.sub("", TEXT[page]))
        found += [(page, line) for line in lines if line.startswith("leaven ")]
    return found


def options(command: str) -> set[str]:
    """The options that a command takes."""
    return {name for p in COMMANDS[command].params for name in p.opts if name.startswith("--")}


def test_there_are_commands_to_check():
    assert len(command_lines()) > 20


@pytest.mark.parametrize(("page", "line"), command_lines(), ids=lambda v: getattr(v, "name", v))
def test_a_command_in_the_docs_parses(page: Path, line: str):
    name, *words = shlex.split(line, comments=True)[1:]
    if name.startswith("--"):
        assert name in {"--help", "--version"}
    elif line in TEXT[page].splitlines():  # of a block to be typed
        COMMANDS[name].make_context(name, words)
    else:  # a sentence may name a command without its arguments
        assert {word for word in words if word.startswith("--")} <= {*options(name), "--help"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_is_documented(command: str):
    assert f"leaven {command}" in WHOLE
    left_out = {name for name in options(command) if f"{name}" not in WHOLE}
    assert not left_out


def test_every_method_and_encoder_is_documented():
    assert not [m["name"] for m in api.methods() if f"`{m['name']}`" not in WHOLE]
    assert not [e["name"] for e in api.encoders() if f"`{e['name']}`" not in WHOLE]


def test_every_public_name_is_documented():
    names = set(leaven.__all__) - {"__version__"}
    assert not [name for name in names if not re.search(rf"\b{name}\b", WHOLE)]


def test_the_page_of_methods_is_current():
    spec = importlib.util.spec_from_file_location("docs_build", ROOT / "docs" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    assert build.PAGE.read_text(encoding="utf-8") == build.page(), "run python docs/build.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    links = re.findall(r"\]\(([^)#\s]+)", TEXT[page])
    local = [link for link in links if "://" not in link]
    assert not [link for link in local if not (page.parent / link).exists()]


def test_files_that_the_docs_name_exist():
    architecture = TEXT[ROOT / "docs" / "architecture.md"] + TEXT[ROOT / "docs" / "coverage.md"]
    inside = re.findall(r"`((?:core|data|learn|evaluate)/[\w/]+(?:\.py)?)/?`", architecture)
    missing = [name for name in inside if not (ROOT / "src" / "leaven" / name).exists()]
    tests = re.findall(r"`(tests/[\w/]+(?:\.py)?)`", architecture)
    assert not missing + [name for name in tests if not (ROOT / name).exists()]
    assert len(inside) > 20 < len(tests)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_are_sound(page: Path):
    for code in blocks(page, "python") + blocks(page, "python runnable"):
        ast.parse(code)


def test_runnable_examples_run_and_the_files_are_as_described(tmp_path: Path, capsys):
    """All blocks marked as runnable, then the folder that they leave against docs/files.md."""
    for page in PAGES:
        for code in blocks(page, "python runnable"):
            exec(compile(code, str(page), "exec"), {"folder": tmp_path})
    assert "(5, 2)" in capsys.readouterr().out
    (finished,) = tmp_path.glob("*/run.json")
    described = TEXT[ROOT / "docs" / "files.md"]
    story = json.loads(finished.read_text())
    assert not [key for key in story if f"`{key}`" not in described]
    names = {file.name + "/" * file.is_dir() for file in finished.parent.iterdir()}
    assert names
    assert not [name for name in names if f"`{name}`" not in described]
