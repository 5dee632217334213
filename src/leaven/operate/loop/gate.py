"""Whether a run may be released, and by whom: what it must show, and what makes a change major."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from leaven.core.wording import many, percent, points
from leaven.evaluate.run import Run
from leaven.evaluate.side_by_side import side_by_side
from leaven.operate.loop.policy import Gate
from leaven.operate.releases import BETTER

__all__ = ["Judgement", "judge"]

#: Findings that say that records which judge have been seen by what they judge.
_LEAKS = ("group-leak", "time-leak", "holdout-duplicates")


@dataclass(frozen=True)
class Judgement:
    """What was found. `outcome` is that of the state `judging`; `passed` is what spoke for it,
    `against` what holds it back, `major` why a person decides: sentences."""

    outcome: str
    passed: tuple[str, ...]
    against: tuple[str, ...]
    major: tuple[str, ...]

    @property
    def reason(self) -> str:
        """The sentences that count."""
        return " ".join(self.against or (*self.major, *self.passed))


def judge(run: Run, live: Run | None, gate: Gate, lost: str = "") -> Judgement:
    """Hold a run against its baseline, and against the live one where there is one.

    The live run is asked nothing anew: both were judged by records that had not taught them, and
    those that judged both are compared in pairs.

    Parameters
    ----------
    lost : why the live run cannot be read, where it cannot: then a person decides.
    """
    passed, against = [], _faults(run)
    major = [f"Nothing was compared: {lost}"] if lost else _changes(run, live, gate)
    if run.verdict.outcome == BETTER:
        passed.append(run.verdict.sentence)
    elif "verdict" not in gate.major:
        against.append(run.verdict.sentence)
    if live is not None:
        if run.story["run"]["id"] == live.story["run"]["id"]:
            against.append("It is the run that is live.")
        said, holds = _against(run, live, gate)
        (passed if holds else against).append(said)
    outcome = "held back" if against else "major" if major else "passed"
    return Judgement(outcome, tuple(passed), tuple(against), tuple(major))


def _faults(run: Run) -> list[str]:
    """What is wrong with the data or the evidence."""
    found = [
        one
        for one in run.story["dataset"]["findings"]
        if one["severity"] == "error" or (one["name"] in _LEAKS and one["severity"] != "info")
    ]
    return [f"The data: {one['message']}" for one in found]


def _changes(run: Run, live: Run | None, gate: Gate) -> list[str]:
    """Why the change is major, of the reasons that the policy names."""
    found = {}
    if run.verdict.outcome != BETTER:
        found["verdict"] = run.verdict.sentence
    if live is None:
        found["first"] = "It would be the first release."
        return [says for name, says in found.items() if name in gate.major]
    ours, theirs = run.story["dataset"], live.story["dataset"]
    if run.verdict.kept != live.verdict.kept:
        found["method"] = f"The method is {run.verdict.kept}, and was {live.verdict.kept}."
    if said := _classes(ours, theirs):
        found["classes"] = said
    grown = ours["records"] / max(theirs["records"], 1) - 1
    if grown > gate.grown:
        found["grown"] = f"The data have grown by {percent(grown, 0)}."
    return [says for name, says in found.items() if name in gate.major]


def _classes(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    new = sorted(set(ours["classes"]) - set(theirs["classes"]))
    gone = sorted(set(theirs["classes"]) - set(ours["classes"]))
    said = [f"new: {', '.join(new[:5])}"] if new else []
    said += [f"gone: {', '.join(gone[:5])}"] if gone else []
    return f"The classes are others ({'; '.join(said)})." if said else ""


def _against(run: Run, live: Run, gate: Gate) -> tuple[str, bool]:
    """What the records say that judged both, and whether that lets it pass."""
    pairs = side_by_side([live, run])["pairs"]
    if not pairs:
        return "No record judged both this run and the live one.", True
    difference, p_value = pairs[0]["difference"], pairs[0]["p_value"]
    value, low, high, n = (difference[name] for name in ("value", "low", "high", "n"))
    judged = many(n, "record", "records")
    seen = f"{points(value)} points against the live run on {judged} that judged both"
    if high < 0 and p_value < 0.05:
        return f"It is shown to be worse: {seen}.", False
    if value < -gate.loss:
        allowed = f"at most {points(gate.loss, sign=False)} may be lost"
        return f"It is right less often: {seen}; {allowed}.", False
    better = " It is better." if low > 0 and p_value < 0.05 else ""
    return f"{seen[0].upper()}{seen[1:]}.{better}", True
