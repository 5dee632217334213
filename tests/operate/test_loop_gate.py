"""The gate of a loop: what speaks against a run, and what is a major change."""

from __future__ import annotations

import json
from typing import Any

from leaven.evaluate.run import Run
from leaven.operate.loop.gate import judge
from leaven.operate.loop.policy import Gate


def doctored(run: Run, **parts: Any) -> Run:
    """The run with another story."""
    story = json.loads(json.dumps(run.story))
    for path, value in parts.items():
        table, name = path.split("__")
        story[table][name] = value
    return Run(run.folder, story)


def test_the_gate_names_what_speaks_against_and_what_is_major(wine: Run):
    clean = doctored(wine, dataset__findings=[], verdict__outcome="better")
    new = doctored(clean, run__id="new")
    assert judge(new, clean, Gate()).outcome == "passed"
    assert "on 40 records that judged both" in judge(new, clean, Gate()).reason
    assert judge(clean, clean, Gate()).against == ("It is the run that is live.",)
    assert judge(new, None, Gate()).major == ("It would be the first release.",)
    unproven = doctored(new, verdict__outcome="unproven")
    assert judge(unproven, clean, Gate()).outcome == "major"
    assert judge(unproven, clean, Gate(major=())).outcome == "held back"
    (other,) = {wine.verdict.method, wine.verdict.baseline} - {wine.verdict.kept}
    method = doctored(new, verdict__kept=other)
    said = judge(method, clean, Gate(loss=0.9)).major
    assert said == (f"The method is {other}, and was {wine.verdict.kept}.",)
    classes = doctored(new, dataset__classes=["barolo", "barbera", "dolcetto"])
    assert judge(classes, clean, Gate()).major == (
        "The classes are others (new: dolcetto; gone: grignolino).",
    )
    grown = doctored(new, dataset__records=1000)
    assert "grown" in judge(grown, clean, Gate()).major[0]
    found = {"name": "time-leak", "severity": "warning", "message": "The future teaches."}
    leaking = doctored(new, dataset__findings=[found])
    assert judge(leaking, clean, Gate()).against == ("The data: The future teaches.",)
    assert judge(new, None, Gate(), "it is gone").major == ("Nothing was compared: it is gone",)


def test_a_run_that_is_worse_than_the_live_one_is_held_back(wine: Run, monkeypatch: Any):
    new = doctored(wine, dataset__findings=[], verdict__outcome="better", run__id="new")
    difference = {"value": -0.2, "low": -0.3, "high": -0.1, "n": 50}
    pair = {"difference": difference, "p_value": 0.001}
    where = "leaven.operate.loop.gate.side_by_side"
    monkeypatch.setattr(where, lambda _: {"pairs": [pair]})
    assert "shown to be worse: −20.0 points" in judge(new, wine, Gate()).reason
    difference |= {"high": 0.02}
    assert "right less often" in judge(new, wine, Gate()).reason
    assert judge(new, wine, Gate(loss=0.3)).outcome == "passed"
    monkeypatch.setattr(where, lambda _: {"pairs": []})
    assert judge(new, wine, Gate()).outcome == "passed"
