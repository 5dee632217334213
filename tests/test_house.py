"""What holds for the package as a whole: how it is imported, what it shows, how it is written."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import leaven

SOURCE = Path(leaven.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SOURCE.parent), "PYTHONUTF8": "1"}


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter with this package."""
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=ENVIRONMENT,
        timeout=120,
        check=True,
    )


def loaded_by(statement: str) -> set[str]:
    """The top-level packages in memory after `statement` in a fresh interpreter."""
    code = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(python("-c", code).stdout.split())


@pytest.mark.parametrize("statement", ["import leaven", "import leaven.cli"])
def test_an_import_loads_nothing_heavy(statement: str):
    heavy = {"numpy", "pyarrow", "scipy", "sklearn", "torch", "transformers", "pydantic", "jinja2"}
    assert not heavy & loaded_by(statement)


def test_the_package_loads_only_the_standard_library():
    ours = loaded_by("import leaven") - loaded_by("pass")
    assert ours - sys.stdlib_module_names == {"leaven"}


def test_the_help_loads_nothing_heavy():
    """What makes it quick; how quick it is, `benchmarks/startup.py` measures."""
    told = python("-X", "importtime", "-m", "leaven", "--help").stderr
    loaded = {line.split("|")[-1].strip().partition(".")[0] for line in told.splitlines()}
    assert not loaded & {"numpy", "pyarrow", "scipy", "sklearn", "torch", "pydantic", "jinja2"}


def test_all_is_what_can_be_imported():
    code = "import leaven; print(*(n for n in leaven.__all__ if getattr(leaven, n) is not None))"
    assert python("-c", code).stdout.split() == leaven.__all__
    assert dir(leaven) == sorted(leaven.__all__)
    assert {*leaven._HOMES, "__version__"} == set(leaven.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'leaven' has no attribute 'fitt'"):
        leaven.fitt  # noqa: B018


def test_the_version_is_that_of_the_distribution():
    assert leaven.__version__ == version("leaven")


def test_the_package_says_that_it_is_typed():
    assert (SOURCE / "py.typed").exists()


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_a_file_keeps_the_rules_of_the_house(file: Path):
    text = file.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert file.stem not in {"utils", "helpers", "common", "misc", "base"}
    assert ast.get_docstring(tree), "a file says first what it is for"
    assert len(text.splitlines()) <= 450
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom | ast.Import)]
    if imports:
        assert isinstance(imports[0], ast.ImportFrom)
        assert imports[0].module == "__future__"
    for node in tree.body:
        is_named = isinstance(node, ast.FunctionDef | ast.ClassDef)
        if is_named and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} is public and says nothing of itself"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_nothing_is_read_that_could_run(file: Path):
    """No pickle, no eval: a model or a data file from a stranger must not be a program."""
    forbidden = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert not forbidden & {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").partition(".")[0] not in forbidden
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"eval", "exec"}
