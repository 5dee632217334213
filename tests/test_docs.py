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
from benchmarks.gains import Gains
from leaven import api
from leaven.cli import app
from leaven.label.asking.strategy import STRATEGIES
from leaven.learn.choices.choice import PARTS
from leaven.learn.choices.compose import read_choice
from leaven.learn.method import METHODS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
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
    """The options that a command takes; of a group, those of its commands."""
    every = [COMMANDS[command], *getattr(COMMANDS[command], "commands", {}).values()]
    params = [p for one in every for p in one.params]
    return {name for p in params for name in p.opts if name.startswith("--")}


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


@pytest.fixture(scope="module")
def build() -> Any:
    """The program that writes the pages of the methods."""
    spec = importlib.util.spec_from_file_location("docs_build", ROOT / "docs" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_of_methods_are_current(build: Any):
    made = build.pages()
    there = {ROOT / "docs" / name for name in ("methods.md", "pretexts.md")}
    there |= set((ROOT / "docs" / "methods").glob("*.md"))
    assert there == set(made), "run python docs/build.py"
    stale = [page.name for page, text in made.items() if page.read_text(encoding="utf-8") != text]
    assert not stale, "run python docs/build.py"


def test_every_method_stands_on_one_page_of_its_family(build: Any):
    heads = [
        (page.stem, name)
        for page, text in build.pages().items()
        for name in re.findall(r"^## `(.+)`$", text, re.MULTILINE)
        if page.parent.name == "methods"
    ]
    assert sorted(name for _, name in heads) == sorted(m["name"] for m in api.methods())
    assert {name: page for page, name in heads} == {m["name"]: m["family"] for m in api.methods()}


def test_every_pretext_has_its_section(build: Any):
    text = build.pages()[ROOT / "docs" / "pretexts.md"]
    named = re.findall(r"^## `(.+)`$", text, re.MULTILINE)
    assert named == sorted(p["name"] for p in api.pretexts())


def test_it_is_said_when_to_use_a_method_and_how_it_fails(build: Any):
    assert not build.missing()


def test_every_choice_is_told_as_it_can_be_written(build: Any):
    page = build.pages()[ROOT / "docs" / "methods" / "choices.md"]
    for part, registry in PARTS.items():
        told = page.partition(f"\n## {part}\n")[2].partition("\n## ")[0]
        written = re.findall(r"^`([^`]+)`(?:, no settings)?$", told, re.MULTILINE)
        assert [read_choice(part, text) for text in written] == [
            kind() for _, kind in registry.items()
        ]
        assert re.findall(r"^### (.+)$", told, re.MULTILINE) == list(registry)


def test_a_method_is_told_with_its_figures(build: Any):
    rows = [
        {
            "set": "digits", "labels": 4, "seed": seed, "kind": "method", "method": name,
            "budget": "9steps", "status": "ok", "encoder": "mlp", "scores": {"accuracy": share},
            "cost": {"cpu_seconds": 2.0},
        }
        for seed, first in enumerate((0.6, 0.7, 0.8))
        for name, share in (("supervised", first), ("fixmatch", first + 0.05))
    ]  # fmt: skip
    told = build._section("fixmatch", METHODS["fixmatch"], Gains(rows, steps=9))
    assert "| digits | 4 | 75.0 ± 10.0 | 70.0 ± 10.0 | +5.0 [+5.0, +5.0] | 3 | 2.0 |" in told
    alone = build._section("supervised", METHODS["supervised"], Gains(rows, steps=9))
    assert "| digits | 4 | 70.0 ± 10.0 | – | – | 3 | 2.0 |" in alone
    assert "| digits |" not in build._section("uda", METHODS["uda"], Gains(rows, steps=9))


def test_docstrings_become_markdown(build: Any):
    docstring = (
        "A title\nof two lines.\n\n    a < b\n      + c\n\n    d\n\n"
        "- one\n  item\n- `a*b` * c\n\nSee arXiv:1703.01780."
    )
    assert build._markdown(docstring) == (
        "A title of two lines.\n\n```text\na < b\n  + c\n\nd\n```\n\n"
        "- one item\n- `a*b` \\* c\n\n"
        "See [arXiv:1703.01780](https://arxiv.org/abs/1703.01780).\n"
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    links = re.findall(r"\]\(([^)\s]+)\)", TEXT[page])
    for link in (link for link in links if "://" not in link):
        name, _, part = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not part or part in anchors(target), link


def anchors(page: Path) -> set[str]:
    """The parts of a page that a link can lead to, as the hosts of Markdown name them."""
    heads = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


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


def test_what_is_said_against_a_strategy_is_what_the_benchmark_found():
    page = (ROOT / "docs" / "annotation.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| `([a-z-]+)` \| ([+−][0-9.]+) \(", page, re.MULTILINE)
    points = {name: float(told.replace("−", "-")) for name, told in found}
    cautioned = {name: one.costs for name, one in STRATEGIES.items() if one.costs}
    assert cautioned == {name: -points[name] for name in cautioned}
    assert not [name for name in cautioned if points[name] > -5]
