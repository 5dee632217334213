"""How a scenario is played: its options, its folder, its report, its exit code."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any

from lines import Lines, read_lines
from scenario_page import Figure, Share, page, share_of
from stage import Answer, Failed, Stage, Traffic

from leaven.core.wording import count, decimal, duration, many, percent, points

__all__ = [
    "SERVICE",
    "Played",
    "Size",
    "fitted",
    "history_of",
    "machine",
    "name_of",
    "played",
    "release",
    "right_of",
    "wait_for",
    "write_report",
]

#: What both scenarios call the service.
SERVICE = "routing"


@dataclass(frozen=True)
class Size:
    """How much is done: `labels` a team on average, `steps` of a fit, `most` records, the `seed`.

    Of the guard's policy `requests` a step and the `margin` of accuracy; `pace` requests a second,
    `seconds` until somebody should have noticed something; promises are looked at `every` so many.
    """

    labels: int = 12
    steps: int = 400
    most: int | None = None
    requests: int = 200
    margin: float = 0.05
    pace: float = 150.0
    seconds: float = 900.0
    every: float = 2.0
    seed: int = 0


#: Enough to see that all of it works, and too little for figures.
QUICK = Size(
    labels=16, steps=80, most=500, requests=20, margin=0.3, pace=40.0, seconds=180.0, every=5.0
)


@dataclass(frozen=True)
class Played:
    """What came of a scenario, for its page and whoever called; see `scenario_page.page`."""

    sentence: str
    todo: Sequence[str] = ()
    tiles: Sequence[tuple[str, str, str]] = ()
    figures: Sequence[Figure] = ()
    facts: Sequence[tuple[str, str]] = ()
    outcome: Mapping[str, Any] = field(default_factory=dict)
    failed: bool = False


def played(name: str, play: Callable[[Stage, Lines, Size], Played], told: str) -> int:
    """Play it with the options of the command line; its exit code.

    1 where a step did not do what it should, 2 where the options or the data are none. What the
    steps wrote stays in the folder, with `report.html`.
    """
    options = _options(name, told)
    size = replace(QUICK if options.quick else Size(), seed=options.seed)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what runs beside ends as well
    try:
        lines = read_lines(options.data, size.most, size.seed)
        options.out.mkdir(parents=True)
    except FileExistsError:
        print(f"Error: '{options.out}' is there. Name another folder: --out.", file=sys.stderr)
        return 2
    except (OSError, ValueError) as wrong:
        print(f"Error: {wrong}", file=sys.stderr)
        return 2
    stage = Stage(options.out)
    stage.say(
        f"{lines.source}: {count(len(lines.pool))} records to learn from, "
        f"{count(len(lines.traffic))} that come later, {len(lines.teams)} teams. The true teams "
        f"play the annotator. All of it is typed in {options.out}."
    )
    try:
        came = play(stage, lines, size)
    except (Failed, OSError, HTTPException) as wrong:
        came = Played(str(wrong) or type(wrong).__name__, failed=True)
    except KeyboardInterrupt:
        came = Played("Interrupted.", failed=True)
    write_report(stage.folder / "report.html", name, stage, lines, size, came)
    stage.say(f"\n{came.sentence}\nReport: {stage.folder / 'report.html'}")
    return int(came.failed)


def write_report(
    file: Path, name: str, stage: Stage, lines: Lines, size: Size, came: Played
) -> None:
    """The page of what came of it, with all that it takes to judge the figures."""
    facts = [
        ("To repeat it", shlex.join(["python", *sys.argv])),
        ("Data", lines.source),
        ("Records", f"{count(len(lines.pool))} to learn from, {count(len(lines.traffic))} later"),
        ("Labels", f"{size.labels} a team on average, drawn by chance; {len(lines.teams)} teams"),
        ("Fits", f"{size.steps} steps"),
        ("Guard", f"{size.requests} keys a step, accuracy within {points(size.margin)} points"),
        ("Seed", str(size.seed)),
        ("Took", duration(time.time() - stage.began)),
        *came.facts,
    ]
    told = page(
        f"Scenario: {name}, {lines.name}", stage, sentence=came.sentence, failed=came.failed,
        todo=came.todo, tiles=came.tiles, figures=came.figures, facts=facts,
    )  # fmt: skip
    file.write_text(told, encoding="utf-8")


def name_of(run: Any) -> str:
    """The id of a run, by what `leaven fit` told of it."""
    return str(run["run"]["id"])


def fitted(stage: Stage, size: Size, file: str, method: str, *more: str) -> Any:
    """Fit a file of records; what `leaven fit` tells."""
    return stage.leaven(
        "fit", file, "--label", "team", "--id", "id", "--method", method, "--budget",
        f"{size.steps}steps", "--seed", str(size.seed), "--out", "runs", *more,
        came=lambda told: f"{name_of(told)}: {told['verdict']['sentence']} Right on labelled "
        f"records: {percent(told['metrics']['accuracy']['value'])}.",
    )  # fmt: skip


def release(stage: Stage, run: Any, override: str, *, canary: int | None = None) -> None:
    """Let it serve: live, or with so many per cent of the requests.

    `override` says why, where it was not shown to be better than its baseline.
    """
    more = [] if canary is None else ["--canary", str(canary)]
    more += ["--override", override] if override else []
    place = "is live" if canary is None else f"answers {canary} % of the requests"
    stage.leaven(
        "release", run["run"]["folder"], "--service", SERVICE, *more,
        came=lambda told: f"Decision {told['number']}: {name_of(run)} {place}.",
    )  # fmt: skip


def history_of(stage: Stage) -> list[dict[str, Any]]:
    """The decisions about the service, in order."""
    told = stage.leaven(
        "releases", SERVICE,
        came=lambda told: many(len(told["services"][0]["history"]), "decision", "decisions"),
    )  # fmt: skip
    return list(told["services"][0]["history"])


def wait_for(stage: Stage, traffic: Traffic, run: Any, number: int, seconds: float) -> None:
    """Wait until the run has answered so many requests from now on; Failed after `seconds`."""
    begun, name = len(traffic.answers), name_of(run)
    stage.until(
        lambda: sum(one.run == name for one in traffic.answers[begun:]) >= number,
        f"{name} answers {many(number, 'request', 'requests')}", seconds,
    )  # fmt: skip


def right_of(answers: Sequence[Answer], run: str) -> Share:
    """How many of a run's answers were right."""
    mine = [one for one in answers if one.run == run]
    return share_of(sum(one.right for one in mine), len(mine))


def machine(run: Path) -> list[tuple[str, str]]:
    """Where a run was made, by what the `run.json` in its folder says."""
    told = json.loads((run / "run.json").read_text(encoding="utf-8"))["environment"]
    cores, load = many(int(told["cores"]), "core", "cores"), decimal(os.getloadavg()[2])
    return [
        ("Processor", f"{told['cpu']}, {cores}; load in the last 15 minutes {load}"),
        ("Leaven", f"{told['packages']['leaven']}, commit {told['commit'] or 'unknown'}"),
    ]


def _options(name: str, told: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=told.splitlines()[0])
    parser.add_argument("--data", type=Path, metavar="FILE", help="loghub's lines as Parquet; "
                        "Banking77's questions if not given")  # fmt: skip
    when = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    parser.add_argument("--out", type=Path, default=Path("runs") / f"{name}-{when}",
                        help="a new folder, in which all is typed")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of all random choices")
    parser.add_argument("--quick", action="store_true", help="fewer records, steps and requests: "
                        "to see that it works, not for figures")  # fmt: skip
    return parser.parse_args()
