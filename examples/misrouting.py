"""Scenario: noisy pseudo-labels misroute. Detected, paused, frozen, sampled, corrected, resumed.

    python examples/misrouting.py [--data logs.parquet] [--out FOLDER]

A model serves. A job takes its guesses for labels, as a person's, from 40 % confidence on and with
two teams mixed up. A run that learns from them looks better than ever, for the same labels judge
it, and misroutes. The truth of answers drawn at random raises an alarm; `leaven incident` freezes
the evidence and works through the checklist until a mended run serves and labelling goes on,
stricter.

Without --data the records are Banking77's questions, by team. With it a file of loghub's lines, by
the system that they come from. Exit code 1 where a step did not do what it should.
"""

from __future__ import annotations

import csv
import functools
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from typing import Any
from urllib.parse import urlsplit
from urllib.request import HTTPCookieProcessor, Request, build_opener

from lines import Lines, write_lines
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
from scenario_page import Figure, Mark, Share, over_time, share_of, shares
from stage import Failed, Stage, Traffic

from leaven.core.wording import count, duration, many, percent
from leaven.evaluate.report import charts

BOT = "labelbot"
PEOPLE = "annotator"
LOOSE, STRICT = 0.4, 0.9  # from which confidence on the job takes a guess for a label
#: Who is told of a promise that is not kept: a line of a file, at once.
PROMISES = """\
[alerts]
grace = "0s"
settle = "5s"

[[slo]]
name = "right"
indicator = "audited-accuracy"

[[route]]
name = "file"
kind = "log"
file = "alerts.jsonl"
"""


def play(stage: Stage, lines: Lines, size: Size) -> Played:
    """The scenario; Failed where a step does not do what it should."""
    truth = {f"r{i}": team for i, (_, team) in enumerate(lines.pool)}
    given = write_lines(lines, stage.folder / "lines.csv", size.labels, size.seed)
    (stage.folder / "leaven.toml").write_text(PROMISES, encoding="utf-8")

    stage.say(f"\n1 A model of {size.labels} labels a team is released.")
    good = fitted(stage, size, "lines.csv", "supervised")
    release(stage, good, "the first release: nothing serves yet")
    stage.say("\n2 A job takes guesses for labels, loosely, with two teams mixed up.")
    loose = job(stage, good, truth, given, LOOSE, mixed_up(lines))
    bad = misled(stage, good, size)
    serve = ("serve", SERVICE, "--port", "0", "--explore", "0.5", "--no-guard")
    watch = ("slo", "check", SERVICE, "--every", f"{size.every:g}", "--json")
    with stage.beside(*serve) as server, stage.beside(*watch):
        address = server.address("Serving at ")
        with Traffic(address, lines.traffic, size.pace) as traffic:
            wait_for(stage, traffic, good, int(size.pace * 4), size.seconds)
            wrong = time.time()
            release(stage, bad, "more labels than ever, and right on them more often than ever")
            stage.say("\n3 The truth of answers drawn at random raises an alarm.")
            alert = stage.until(lambda: raised(stage), "an alarm", size.seconds)
            stage.say(f"  {alert['finding']['sentence']}")
            stage.must(alert["opened"] > wrong, "There was an alarm before anything was wrong.")
            stage.leaven(
                "health", SERVICE, came=lambda told: f"{told['verdict']}: {told['sentence']}"
            )
            stage.say("\n4 The incident: the evidence is frozen, and the checklist worked through.")
            number, mended = worked(stage, alert, truth, bad)
            wait_for(stage, traffic, mended, int(size.pace * 4), size.seconds)
            stage.say("\n5 Labelling goes on, stricter; the incident is closed.")
            do(stage, number, "resume-labelling")
            known = given | exported(stage, mended)
            strict = job(stage, mended, truth, known, STRICT, {})
            closed = close(stage, number)
    runs = {"good": name_of(good), "bad": name_of(bad), "mended": name_of(mended)}
    return shown(stage, Told(runs, loose, strict, closed, history_of(stage), bad), traffic)


@dataclass(frozen=True)
class Told:
    """What came of the parts: runs by role, how right the job was before and after, the incident
    when it was closed, the history of the releases, what `leaven fit` told of the misled run."""

    runs: Mapping[str, str]
    loose: Share
    strict: Share
    incident: Any
    history: Sequence[Any]
    misled: Any


def mixed_up(lines: Lines) -> dict[str, str]:
    """The two largest teams, each under the other's name."""
    (one, _), (other, _) = Counter(team for _, team in lines.pool).most_common(2)
    return {one: other, other: one}


def job(
    stage: Stage,
    run: Any,
    truth: Mapping[str, str],
    given: set[str],
    sure: float,
    names: Mapping[str, str],
) -> Share:
    """Take a run's guesses for labels of records that have none; how many of them are right."""
    stage.leaven(
        "predict", run["run"]["folder"], "lines.csv", "--id", "id", "--out", "guesses.csv",
        came=lambda told: f"{count(told['records'])} guesses.",
    )  # fmt: skip
    with (stage.folder / "guesses.csv").open(encoding="utf-8", newline="") as opened:
        rows = [row for row in csv.DictReader(opened) if row["id"] not in given]
    taken = {
        row["id"]: names.get(row["prediction"], row["prediction"])
        for row in rows
        if float(row["confidence"]) >= sure
    }
    with (stage.folder / "taken.csv").open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened).writerows([("id", "label"), *taken.items()])
    right = share_of(sum(truth[one] == team for one, team in taken.items()), len(taken))
    stage.say(
        f"  The job takes {count(len(taken))} of {count(len(rows))} guesses, those of "
        f"{percent(sure, 0)} confidence and more. Right: {percent(right.value)} ({right.ends()})."
    )
    return right


def misled(stage: Stage, run: Any, size: Size) -> Any:
    """A run that learns from what the job took, brought in as if a person had said it."""
    folder = run["run"]["folder"]
    stage.leaven(
        "query", folder, "--ask", "10",
        came=lambda told: f"{many(told['added'], 'question', 'questions')} for people.",
    )  # fmt: skip
    stage.leaven(
        "label", "import", folder, "taken.csv", "--person", BOT,
        came=lambda told: f"{many(told['answers'], 'answer', 'answers')} of {BOT} taken.",
    )  # fmt: skip
    exported(stage, run)
    more = ("--answers", "labels.csv", "--set", f"accept=AtLeast({LOOSE})")
    return fitted(stage, size, "lines.csv", "fixmatch", *more)


def exported(stage: Stage, run: Any) -> set[str]:
    """The ids of the records that people gave a label; the labels are in `labels.csv`."""
    stage.leaven(
        "label", "export", run["run"]["folder"], "labels.csv",
        came=lambda told: f"{many(told['labels'], 'label', 'labels')} exported.",
    )  # fmt: skip
    with (stage.folder / "labels.csv").open(encoding="utf-8", newline="") as opened:
        return {row["id"] for row in csv.DictReader(opened)}


def worked(stage: Stage, alert: Any, truth: Mapping[str, str], bad: Any) -> tuple[int, Any]:
    """From the alert to a mended run that serves; the incident's number, and the run."""
    opened = stage.leaven(
        "incident", "open", SERVICE, "--reason", "records go to the wrong teams", "--alert",
        str(alert["id"]),
        came=lambda told: f"Incident {told['number']}: evidence of {told['evidence']['files']} "
        f"files in {told['evidence']['folder']}.",
    )  # fmt: skip
    number = int(opened["number"])
    stage.leaven(
        "incident", "steps", str(number),
        came=lambda told: "; ".join(one["step"] for one in told),
    )  # fmt: skip
    do(stage, number, "pause-labelling")
    do(stage, number, "roll-back")
    do(stage, number, "revoke", f"person={BOT}")
    do(stage, number, "sample", f"count={_ASKED}")
    answered(stage, bad, truth, _ASKED)
    do(stage, number, "retrain")
    (act,) = [
        one
        for one in stage.leaven(
            "incident", "show", str(number),
            came=lambda told: f"{many(len(told['acts']), 'step', 'steps')} so far.",
        )["acts"]
        if one["step"] == "retrain"
    ]  # fmt: skip
    reason = f"verdict {act['result']['verdict']}, but taught by labels of people alone"
    do(stage, number, "release", "canary=100", f"override={reason}")
    made = {"run": {"id": act["result"]["id"], "folder": act["result"]["run"]}}
    return number, made


def close(stage: Stage, number: int) -> Any:
    """Close the incident and write its postmortem; what is known of it."""
    closed = stage.leaven(
        "incident", "close", str(number), "--reason",
        f"labels of {BOT} taken back; guesses count from {percent(STRICT, 0)} on",
        came=lambda told: times_of(told["times"]),
    )  # fmt: skip
    stage.leaven(
        "incident", "report", str(number), "--out", "postmortem.html",
        came=lambda told: str(told["report"]),
    )  # fmt: skip
    return closed


def do(stage: Stage, number: int, step: str, *settings: str) -> Any:
    """A step of the incident's checklist."""
    more = [word for one in settings for word in ("--set", one)]
    return stage.leaven(
        "incident", "do", str(number), step, *more, came=lambda told: str(told["reason"])
    )


def raised(stage: Stage) -> Any:
    """The open alert about right answers, once people were told of it."""
    if not (stage.folder / "alerts.jsonl").is_file():
        return None
    found = stage.leaven(
        "slo", "alerts", came=lambda told: many(len(told), "alert is open.", "alerts are open.")
    )
    return next((one for one in found if one["slo"] == "right"), None)


def times_of(times: Mapping[str, Any]) -> str:
    """Both times of an incident, in words."""
    detect, mend = duration(times["to_detect"]), duration(times["to_mend"])
    return f"Time to detect: {detect}. Time to mend: {mend}."


def answered(stage: Stage, run: Any, truth: Mapping[str, str], most: int) -> None:
    """Answer what waits first in the queue, so many records, on the page of `leaven review`.

    The true labels play the annotator, who sees what a browser would be sent.
    """
    done = 0
    with stage.beside("review", run["run"]["folder"], "--person", PEOPLE) as page:
        desk = Desk(page.address("Answer here: "))
        while done < most:
            cards = desk.cards()
            stage.must(cards, f"Only {count(done)} records waited for an answer.")
            for task, card in cards[: most - done]:
                record = unescape(_found(_RECORD, card))
                stage.must(truth.get(record) in desk.classes, f"No answer fits record {record}.")
                desk.answer(task, desk.classes.index(truth[record]))
                done += 1
    stage.say(f"  {PEOPLE} answers {many(done, 'record', 'records')}.")


_ASKED = 100  # records that people are asked about again
_RECORD = re.compile(r'class="id"><bdi>([^<]+)</bdi>')
_CLASS = re.compile(r'<li role="option"[^>]*><bdi>(.*?)</bdi>')
_PAGE = re.compile(r'data-page="([^"]+)"')


def _found(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    if found is None:
        raise Failed(f"The page shows nothing like {pattern.pattern}.")
    return found[1]


class Desk:
    """The review page as a browser uses it: signed in by the link, one window.

    `classes` are those that can be chosen, in their order.
    """

    def __init__(self, link: str) -> None:
        place = urlsplit(link)
        self._site = f"{place.scheme}://{place.netloc}"
        self._open = build_opener(HTTPCookieProcessor()).open
        with self._open(link, timeout=30) as answer:
            page = answer.read().decode()
        self._token = _found(_PAGE, page)
        self.classes = [unescape(one.replace("<wbr>", "")) for one in _CLASS.findall(page)]

    def cards(self) -> list[tuple[int, str]]:
        """The tasks that wait, three at most, each with its card."""
        told = self._post("/tasks", {"window": "scenario-1"})
        return [(one["task"], one["html"]) for one in told["tasks"]]

    def answer(self, task: int, choice: int) -> None:
        """Choose a class."""
        key = f"scenario-{task}-{time.time_ns()}"
        self._post("/answer", {"task": task, "choice": choice, "key": key, "seconds": 1.0})

    def _post(self, path: str, told: Mapping[str, Any]) -> Any:
        head = {"Content-Type": "application/json", "X-Leaven-Page": self._token}
        asked = Request(self._site + path, json.dumps(told).encode(), head)  # noqa: S310 - ours
        with self._open(asked, timeout=30) as answer:
            return json.loads(answer.read())


def shown(stage: Stage, told: Told, traffic: Traffic) -> Played:
    """What it showed. Failed where a request was lost or the mended run is no better."""
    answers, times = traffic.of(), told.incident["times"]
    live = {
        role: next(one["at"] for one in told.history if one["run"] == run)
        for role, run in told.runs.items()
    }
    later = [one for one in told.history if one["at"] > live["bad"]]
    back = next(one["at"] for one in later if one["run"] == told.runs["good"])
    right = {role: right_of(answers, run) for role, run in told.runs.items()}
    misled = [one for one in answers if one.run == told.runs["bad"]]
    lost = sum(not one.right for one in misled)
    unheard = sum(one.began < times["detected"] for one in misled)
    stage.must(not traffic.failed, f"{many(traffic.failed, 'request', 'requests')} failed.")
    stage.must(right["bad"].high < right["mended"].low, "The mended run was not seen to be better.")
    stage.must(told.loose.high < told.strict.low, "The stricter labels are not shown to be better.")
    claimed = told.misled["metrics"]["accuracy"]
    acts = [one for one in told.incident["acts"] if one["state"] in ("done", "undone")]
    marks = [
        Mark(live["bad"], "the misled run goes live"),
        Mark(times["detected"], "an alert says that promises are not kept"),
        Mark(times["opened"], "the incident is opened, the evidence frozen"),
        *sorted((Mark(done_at(one), one["step"]) for one in acts), key=lambda mark: mark.at),
        Mark(told.incident["closed"]["at"], "closed"),
    ]
    detect, mend = duration(times["detected"] - live["bad"]), duration(times["to_mend"])
    return Played(
        f"Detected in {detect}, mended in {mend}: right answers fell to "
        f"{percent(right['bad'].value)} and are {percent(right['mended'].value)} again.",
        todo=(
            f"By its labels the misled run was right on {percent(claimed['value'])}.",
            "Guesses that pass for people's labels also judge. Truth from production told.",
        ),
        tiles=(
            ("Time to detect", detect, f"{many(unheard, 'answer', 'answers')} until the alert"),
            ("Time to mend", mend, times["mended_how"]),
            ("Misrouted", count(lost), f"of {count(len(misled))} while it was wrong"),
            ("Before", percent(right["good"].value), right["good"].ends()),
            ("Misled", percent(right["bad"].value), right["bad"].ends()),
            ("Mended", percent(right["mended"].value), right["mended"].ends()),
        ),
        figures=(
            Figure(
                f"Right answers fell by misled labels, came back {duration(back - live['bad'])} "
                "later by the rollback, and stayed with the mended run",
                "Share of all answers that were right, with 95 % intervals. The truth of every "
                "answer is known here; the alarm knew that of half of them.",
                functools.partial(
                    over_time, [("right", "people", shares(answers, lambda one: one.right))],
                    marks, "right answers over time",
                ),
                key=(("people", "right answers"),),
                marks=marks,
            ),
            Figure(
                f"Of the job's labels {percent(told.loose.value)} were right, and after it "
                f"{percent(told.strict.value)}",
                f"Before: confidence from {percent(LOOSE, 0)} on, two teams mixed up "
                f"(n {count(told.loose.n)}). After: from {percent(STRICT, 0)} on, by the mended "
                f"run (n {count(told.strict.n)}). 95 % intervals.",
                functools.partial(precision, told.loose, told.strict),
                key=(("pseudo", "after"), ("theirs", "before")),
            ),
        ),
        facts=machine(stage.folder / told.misled["run"]["folder"]),
        outcome={"failed": traffic.failed, "right": right, "loose": told.loose,
                 "strict": told.strict, "times": times,
                 "steps": [one["step"] for one in acts], "detect": times["detected"] - live["bad"],
                 "misrouted": lost},
    )  # fmt: skip


def done_at(act: Mapping[str, Any]) -> float:
    """When a step was done; what was undone ended then, so of that when it began."""
    return float(act["began"] if act["state"] == "undone" else act["ended"])


def precision(before: Share, after: Share, width: int) -> Any:
    """How right the job's labels were, before and after."""
    ends = [charts.Interval(one.value, one.low, one.high) for one in (after, before)]
    row = charts.Row("pseudo-labels", *ends)
    return charts.pairs([row], "precision with 95 % intervals", width, ours="pseudo")


if __name__ == "__main__":
    sys.exit(played("misrouting", play, __doc__))
