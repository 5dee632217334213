"""Whatever goes wrong is one clear block on stderr, one JSON shape, and one of four codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import fake_api
import pytest
from typer.testing import CliRunner, Result

import leaven
from leaven.cli import app, main

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _api(monkeypatch: pytest.MonkeyPatch) -> None:
    api = fake_api.build()
    monkeypatch.setitem(sys.modules, "leaven.api", api)
    monkeypatch.setattr(leaven, "api", api, raising=False)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def start(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """The command line in a process of its own, on the stand-in."""
    source = str(Path(leaven.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, str(HERE / "fake_api.py"), *arguments],
        env={**os.environ, "PYTHONPATH": source, "PYTHONUTF8": "1"},
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )


FAILURES = {
    "library": (("check", "missing.csv"), "DataError", "no file 'missing.csv'. Give the path"),
    "setting": (("fit", "x", "--budget", "soon"), "SettingError", "such as 5m. Got 'soon'."),
    "system": (("check", "locked.csv"), "PermissionError", "Permission denied: locked.csv"),
    "command": (("chek", "x"), "UsageError", "Did you mean 'check'?"),
    "option": (("fit", "x", "--buget", "5m"), "UsageError", "--budget"),
    "missing": (("predict", "r", "d"), "UsageError", "Try 'leaven predict --help'."),
    "value": (("fit", "x", "--seed", "one"), "UsageError", "--seed"),
    "choice": (("fit", "x", "--require", "best"), "UsageError", "better"),
    "too few": (("compare", "r"), "UsageError", "at least two runs"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_failure_is_one_block_and_exit_2(case: str):
    arguments, _, message = FAILURES[case]
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("case", FAILURES)
def test_failure_as_json_has_one_shape(case: str):
    arguments, kind, message = FAILURES[case]
    result = run(*arguments, "--json")
    assert result.exit_code == 2
    answer = json.loads(result.stdout)
    assert list(answer) == ["error"]
    assert answer["error"]["type"] == kind
    assert message in answer["error"]["message"]


def test_a_hostile_name_in_a_message_reaches_no_terminal():
    result = run("check", "x", "--\x1b]0;owned\x07")
    assert result.exit_code == 2
    assert "\x1b" not in result.stderr
    assert "\x07" not in result.stderr


def test_a_fault_of_ours_is_not_hidden(monkeypatch):
    monkeypatch.setattr(sys.modules["leaven.api"], "methods", lambda: 1 / 0)
    assert isinstance(run("methods").exception, ZeroDivisionError)


def test_interrupted_fit_says_that_it_continues():
    result = run("fit", "interrupted.csv")
    assert result.exit_code == 130
    assert "Interrupted. The same command continues where it stopped." in result.stderr
    answer = json.loads(run("fit", "interrupted.csv", "--json").stdout)
    assert answer["error"]["type"] == "Interrupted"


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is no signal to one process there")
def test_ctrl_c_ends_with_130_and_no_traceback():
    process = start("fit", "slow.csv")
    assert process.stderr is not None
    assert process.stderr.readline() == "training\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "continues where it stopped" in said
    assert "Traceback" not in said


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end otherwise there")
def test_a_reader_that_leaves_is_no_failure():
    end, stdout = os.pipe()
    os.close(end)
    process = start("methods", "--json", stdout=stdout)
    os.close(stdout)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 0
    assert said == ""


def test_idle_threads_soon_sleep_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["leaven", "--version"])
    for set_by_user, wanted in ((None, "20000"), ("7", "7")):
        monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
        if set_by_user:
            monkeypatch.setenv("GOMP_SPINCOUNT", set_by_user)
        with pytest.raises(SystemExit):
            main()
        assert os.environ["GOMP_SPINCOUNT"] == wanted
