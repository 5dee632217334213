"""Scenario: records are routed to teams with Mean Teacher, by a canary, a promotion, a rollback.

    python examples/log_routing.py [--data logs.parquet] [--out FOLDER]

A model of few labels serves. Twice as many labels come, Mean Teacher learns from them and from the
records without, and its run begins as a canary with 10 % of the requests. The guard judges it by
what was drawn at random and gives it more, until it is live. Then somebody releases a run whose
labels were moved by a row, past the canary, and it is rolled back. Traffic goes on all the time.

Without --data the records are Banking77's questions, by team. With it a file of loghub's lines, by
the system that they come from. Exit code 1 where a step did not do what it should.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lines import Lines, write_later, write_lines
from scenario import (
    SERVICE,
    Played,
    Size,
    fitted,
    history_of,
    machine,
    name_of,
    played,
    release,
    right_of,
    wait_for,
)
from scenario_page import Figure, Mark, by_run, over_time, shares
from stage import Stage, Traffic, fetched

from leaven.core.wording import count, decimal, duration, many, percent
from leaven.evaluate.report import charts

#: What the guard wants to see. The new run is to answer otherwise, for it has learnt more, so those
#: margins are wide; the others are the defaults.
POLICY = """\
[canary]
minutes = 0
requests = {requests}
agreement = 0.6
classes = 0.3
confidence = 0.3
accuracy = {accuracy}
calibration = {accuracy}
errors = {errors}
slow = {errors}
quick = 1.0
"""
_AROUND = 3.0  # seconds before and after the rollback that are drawn
_MOST = 1.0  # seconds that a rollback may take


@dataclass(frozen=True)
class Runs:
    """What `leaven fit` told of each run; `later` are the accuracies of Mean Teacher and of its
    baseline on later records."""

    first: Any
    taught: Any
    moved: Any
    later: tuple[Any, Any]


def play(stage: Stage, lines: Lines, size: Size) -> Played:
    """The scenario; Failed where a step does not do what it should."""
    few = max(size.labels // 2, 2)
    write_lines(lines, stage.folder / "first.csv", few, size.seed)
    write_lines(lines, stage.folder / "lines.csv", size.labels, size.seed)
    next_team = dict(zip(lines.teams, [*lines.teams[1:], lines.teams[0]], strict=True))
    write_lines(lines, stage.folder / "moved.csv", size.labels, size.seed, named=next_team)
    write_later(lines, stage.folder / "later.csv")
    policy = POLICY.format(requests=size.requests, accuracy=size.margin, errors=size.margin / 2)
    (stage.folder / "policy.toml").write_text(policy, encoding="utf-8")

    stage.say(f"\n1 A model of {few} labels a team serves.")
    first = fitted(stage, size, "first.csv", "supervised")
    release(stage, first, "the first release: nothing serves yet")
    stage.say(f"\n2 Mean Teacher learns from {size.labels} labels a team, and all that have none.")
    taught = fitted(stage, size, "lines.csv", "mean-teacher")
    later = tried(stage, taught)
    moved = fitted(stage, size, "moved.csv", "logistic")

    serve = ("serve", SERVICE, "--port", "0", "--explore", "0.3", "--mirror", "0.3",
             "--policy", "policy.toml")  # fmt: skip
    with stage.beside(*serve) as server:
        address = server.address("Serving at ")
        with Traffic(address, lines.traffic, size.pace) as traffic:
            stage.say(f"\n3 It begins with 10 % of the requests of {address}.")
            release(stage, taught, unless_better(taught), canary=10)
            ramped(stage, address, taught, size)
            stage.say("\n4 A run whose labels were moved by a row goes live past the canary.")
            release(stage, moved, "urgent: the table was sorted anew, and looks fine")
            wait_for(stage, traffic, moved, int(size.pace * 2), size.seconds)
            stage.say("\n5 It is rolled back.")
            state = stage.leaven(
                "rollback", SERVICE, "--reason", "records go to the wrong teams",
                came=lambda told: f"{told['live']['run']} is live again.",
            )  # fmt: skip
            stage.must(state["live"]["run"] == name_of(taught), "It led to another run.")
            wait_for(stage, traffic, taught, int(size.pace * 2), size.seconds)
    return shown(stage, Runs(first, taught, moved, later), traffic, history_of(stage))


def tried(stage: Stage, run: Any) -> tuple[Any, Any]:
    """The accuracy of the method and of its baseline on the later records, whichever was kept."""
    ask = ("predict", run["run"]["folder"], "later.csv", "--label", "team")
    told = [
        stage.leaven(
            *ask, "--out", f"{name}.csv", *more,
            came=lambda told: f"Right: {percent(told['metrics']['accuracy']['value'])}, "
            f"n {count(told['metrics']['accuracy']['n'])}.",
        )["metrics"]["accuracy"]
        for name, more in (("kept", ()), ("compared", ("--compared",)))
    ]  # fmt: skip
    is_kept = run["verdict"]["kept"] == run["verdict"]["method"]
    return (told[0], told[1]) if is_kept else (told[1], told[0])


def unless_better(run: Any) -> str:
    """Why a run may serve that was not shown to be better than its baseline; "" where it was."""
    verdict = run["verdict"]
    if verdict["outcome"] == "better":
        return ""
    return f"verdict {verdict['outcome']}, but taught more labels than the live run; guarded"


def ramped(stage: Stage, address: str, run: Any, size: Size) -> None:
    """Wait until the guard has made the canary live; Failed where it took it back."""

    def settled() -> bool:
        told = fetched(address, "/status")
        return told["canary"] is None and told["decision"] > 1

    stage.leaven("canary", "status", SERVICE, "--policy", "policy.toml", came=looked)
    try:
        stage.until(settled, "the guard decides", size.seconds)
    finally:
        told = fetched(address, "/status")
        stage.say(f"  The guard: {told['guard']['reason']}")
    stage.must(told["live"]["run"] == name_of(run), f"It was taken back: {told['guard']['reason']}")


def looked(told: Any) -> str:
    """A look at the canary in a sentence."""
    if told["look"] is None:
        return "The canary has been decided on."
    seen = many(told["look"]["answered"], "key", "keys")
    return f"{seen} asked the canary. {told['look']['decision']['reason']}"


def shown(stage: Stage, runs: Runs, traffic: Traffic, history: Sequence[Any]) -> Played:
    """What it showed. Failed where a request was lost or the rollback took too long."""
    first, taught, moved = (name_of(run) for run in (runs.first, runs.taught, runs.moved))
    answers = traffic.of()
    back = history[-1]["at"]
    late = [one.ended for one in answers if one.run == moved and one.began > back]
    took = max(late, default=back) - back
    failed = many(traffic.failed, "request", "requests")
    stage.must(not traffic.failed, f"{failed} of {count(len(traffic.answers))} failed.")
    stage.must(took < _MOST, f"The rollback took {decimal(took, 2)} s.")
    right = {run: right_of(answers, run) for run in (first, taught, moved)}
    stage.must(right[moved].high < right[taught].low, "The moved run was not seen to be worse.")
    mine = [one for one in history if one["run"] == taught]
    ramp = next(one["at"] for one in mine if one["kind"] == "live") - mine[0]["at"]
    asked = sum(one.place == "canary" for one in answers)
    verdict, (method, baseline) = runs.taught["verdict"], runs.later
    marks = [Mark(one["at"], said(one, first, moved)) for one in history[1:-1]]
    return Played(
        f"No request of {count(len(traffic.answers))} failed: the canary became live after "
        f"{duration(ramp)}, and a bad release was gone {decimal(took, 2)} s after the decision.",
        todo=(
            f"Mean Teacher against its supervised baseline: {verdict['sentence']}",
            f"What served of this run is its {verdict['kept']} model.",
        ),
        tiles=(
            ("Requests", count(len(traffic.answers)), "0 failed"),
            ("Canary's answers", count(asked), f"in {duration(ramp)}"),
            ("First run right", percent(right[first].value), right[first].ends()),
            ("Promoted run right", percent(right[taught].value), right[taught].ends()),
            ("Bad release right", percent(right[moved].value), right[moved].ends()),
            ("Rollback", f"{decimal(took, 2)} s", "to the last wrong answer"),
        ),
        figures=(
            Figure(
                f"Mean Teacher is right on {percent(method['value'])} of the later records, its "
                f"supervised baseline on {percent(baseline['value'])}",
                f"{count(method['n'])} later records with their true teams, 95 % intervals. The "
                "verdict rests on labelled records alone.",
                functools.partial(compared, method, baseline),
                key=(("ours", "Mean Teacher"), ("theirs", "supervised baseline")),
            ),
            Figure(
                f"The canary went from 10 % to all requests in {duration(ramp)}",
                "Share of the requests that each run answered, and of all answers that were right.",
                functools.partial(
                    over_time,
                    [
                        ("the new run", "ours", shares(answers, lambda one: one.run == taught)),
                        ("right", "people", shares(answers, lambda one: one.right)),
                    ],
                    marks, "the canary's ramp",
                ),
                key=(("ours", "answered by the new run"), ("people", "right, of all answers")),
                marks=marks,
            ),
            Figure(
                f"The last answer of the bad release came {decimal(took, 2)} s after the decision",
                "Each stroke is an answer; the line is the decision to roll back.",
                functools.partial(
                    by_run, [one for one in answers if abs(one.began - back) < _AROUND],
                    [(taught, "promoted", "ours"), (moved, "bad release", "pseudo")], back,
                ),
            ),
        ),
        facts=machine(stage.folder / runs.taught["run"]["folder"]),
        outcome={"failed": traffic.failed, "rollback": took, "canary": asked, "right": right,
                 "decisions": [(one["kind"], one["person"]) for one in history]},
    )  # fmt: skip


def compared(method: Any, baseline: Any, width: int) -> Any:
    """Both arms of the comparison, on later records."""
    arms = [charts.Interval(one["value"], one["low"], one["high"]) for one in (method, baseline)]
    return charts.pairs([charts.Row("later records", *arms)], "accuracy, 95 % intervals", width)


def said(event: Any, first: str, moved: str) -> str:
    """A decision in words."""
    who = {first: "the first run", moved: "the bad run"}.get(event["run"], "the new run")
    share = "" if event["share"] is None else f" {percent(event['share'], 0)}"
    return f"{event['kind']}{share}: {who}, by {event['person']}"


if __name__ == "__main__":
    sys.exit(played("log-routing", play, __doc__))
