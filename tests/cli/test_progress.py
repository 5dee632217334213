"""Progress is one live line on a terminal, a line now and then elsewhere, silence for JSON."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import leaven
from leaven.cli import progress as drawing
from leaven.core.progress import Progress
from leaven.core.wording import THIN


def test_plain_lines_come_at_most_every_five_seconds(capsys):
    times = iter([0.0, 1.0, 4.9, 5.0, 5.1, 30.0])
    say = drawing._plain_lines(lambda: next(times))
    for step in range(6):
        say(Progress("train", step, 10))
    said = capsys.readouterr().err.replace(THIN, " ").splitlines()
    assert said == ["train · 0 %", "train · 30 %", "train · 50 %"]


def test_a_sentence_says_only_what_is_known():
    assert drawing.sentence(Progress("reading")) == "reading"
    said = drawing.sentence(Progress("train", 12, 10, message="last\x1b[2J step"))
    assert said.replace(THIN, " ") == ("train · 100 % · last\N{REPLACEMENT CHARACTER}[2J step")


def test_prints_of_others_do_not_reach_stdout(capsys):
    with drawing.progress_line(quiet=True) as listener:
        print("chatter")
    said = capsys.readouterr()
    assert listener is None
    assert (said.out, said.err) == ("", "chatter\n")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no pty")
@pytest.mark.parametrize("as_json", [False, True])
def test_a_terminal_shows_a_live_line_beside_clean_stdout(as_json: bool):
    ours, theirs = os.openpty()
    source = str(Path(leaven.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("fake_api.py")), "fit", "x.csv"]
        + ["--json"] * as_json,
        env={
            **os.environ,
            "PYTHONPATH": source,
            "PYTHONUTF8": "1",
            "TERM": "xterm-256color",
            "COLUMNS": "100",
        },
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    out, _ = process.communicate(timeout=20)
    os.close(theirs)
    drawn = os.read(ours, 100_000).decode().replace(THIN, " ")
    os.close(ours)
    assert process.returncode == 0
    assert b"\x1b" not in out
    for figure in ("fixmatch", "accuracy 71.0 % (baseline 65.0 %)", "coverage 38.0 %"):
        assert figure in drawn
    assert "2 min left" in drawn
