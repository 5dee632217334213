"""What is written of an incident from its records: the postmortem, and a runbook for the next one.

Markdown here, the page in `page`. What people typed is quoted so that it is text and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any

from leaven.core.wording import MISSING, count, duration, many, percent, span
from leaven.operate.incidents.incident import DONE, FAILED, UNDONE, Event
from leaven.operate.incidents.step import STEPS
from leaven.operate.incidents.times import day
from leaven.operate.incidents.told import typed

__all__ = ["Moment", "commands", "moments", "postmortem", "runbook", "sampled", "summary"]


@dataclass(frozen=True)
class Moment:
    """One line of the timeline. `kind` is fault, alert, change, people, step, failed or end."""

    at: float
    kind: str
    what: str
    why: str
    who: str


def moments(told: Mapping[str, Any], history: Sequence[Event]) -> list[Moment]:
    """All that happened, in order of time."""
    times, alert = told["times"], told["alert"]
    found = []
    if times["began"] is not None:
        found.append(Moment(times["began"], "fault", "The fault began", times["began_how"], ""))
    if alert is not None:
        said = str(alert["finding"].get("sentence", ""))
        what = f"Alert {alert['id']} opened: {alert['slo']} ({alert['severity']})"
        found.append(Moment(alert["opened"], "alert", what, said, ""))
    for one in told["changes"]:
        what = f"'{one['run']}': {one['kind']}"
        if one["share"] is not None:
            what += f", {percent(one['share'], 0)} of the requests"
        found.append(Moment(one["at"], "change", what, one["reason"], one["person"]))
    for event in history:
        found += _moment(event)
    mended = times["mended"]
    if mended is not None and mended != times["closed"]:
        found.append(Moment(mended, "end", "Mended", times["mended_how"], ""))
    return sorted(found, key=lambda one: one.at)


def _moment(event: Event) -> list[Moment]:
    title = STEPS[event.step].title if event.step in STEPS else event.step
    kind, what = {
        "opened": ("people", "Incident opened"),
        "frozen": ("people", "Evidence frozen"),
        "noted": ("people", "Note"),
        DONE: ("step", f"{title}: done"),
        FAILED: ("failed", f"{title}: failed"),
        "closed": ("end", "Incident closed"),
    }.get(event.kind, ("", ""))
    return [Moment(event.at, kind, what, event.reason, event.person)] if kind else []


def summary(told: Mapping[str, Any]) -> str:
    """The incident in one sentence."""
    times = told["times"]
    detect = "nobody knows how long it stood before it was noticed"
    if times["to_detect"] is not None:
        detect = f"it stood {duration(times['to_detect'])} before it was noticed"
    mend = "it is not mended yet"
    if times["to_mend"] is not None:
        mend = f"it was mended {duration(times['to_mend'])} after the incident was opened"
    return f"{detect[0].upper()}{detect[1:]}, and {mend}."


def postmortem(
    told: Mapping[str, Any], history: Sequence[Event], store: str | None, created: str
) -> str:
    """The postmortem as Markdown."""
    times = told["times"]
    lines = [
        f"# Incident {told['number']} of {_text(told['service'])}", "",
        f"{summary(told)} Written {created}.", "",
        "| | |", "| --- | --- |",
        f"| State | {'open' if told['open'] else 'closed'} |",
        f"| What was wrong | {_text(told['reason'])} ({_text(told['by'])}) |",
        f"| Began | {day(times['began']) or 'not known'}, {_text(times['began_how'])} |",
        f"| Detected | {day(times['detected'])}, {_text(times['detected_how'])} |",
        f"| Opened | {day(times['opened'])} |",
        f"| Mended | {day(times['mended']) or MISSING} {_text(times['mended_how'])} |",
        f"| Closed | {day(times['closed']) or MISSING} |",
        f"| **Time to detect** | {duration(times['to_detect'])} |",
        f"| **Time to mend** | {duration(times['to_mend'])} |",
    ]  # fmt: skip
    lines += ["", "## Timeline", "", "| When | What | Why | Who |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {day(one.at)} | {_text(one.what)} | {_text(one.why)} | {_text(one.who)} |"
        for one in moments(told, history)
    ]
    lines += ["", "## What spoke for what", ""]
    lines += [
        f"- **{_text(one['step'])}**: {_text(one['sentence'])}" for one in told["causes"]
    ] or ["The evidence speaks for no step before others."]
    lines += ["", "## What was done", "", *_done(told)]
    if told["relabelled"] is not None:
        lines += ["", sampled(told["relabelled"])]
    lines += ["", "## Evidence", "", *_evidence(told)]
    lines += ["", "## Lessons", "", *_lessons(told)]
    lines += ["", "## The next time", "", *_listed(told, store)]
    return "\n".join(lines) + "\n"


def runbook(told: Mapping[str, Any], store: str | None) -> str:
    """What to do the next time as Markdown: the steps that were done, in order, and what each
    brought."""
    meant = (
        f"**It means** what incident {told['number']} of {_text(told['service'])} was, opened "
        f"{day(told['times']['opened'])}. {summary(told)}"
    )
    lines = [f"# {_text(told['reason'])}", "", meant, ""]
    if told["causes"]:
        lines += ["It was seen by:", ""]
        lines += [f"- {_text(one['sentence'])}" for one in told["causes"]] + [""]
    return "\n".join(lines + _listed(told, store)) + "\n"


def sampled(told: Mapping[str, Any]) -> str:
    """What people said of the sample, in a sentence."""
    said = (
        f"People answered {count(told['answered'])} of the {count(told['asked'])} records of the "
        f"sample, and confirmed the run's answer to {count(told['confirmed'])} of them."
    )
    if told["n"]:
        said += (
            f" Of the {count(told['n'])} that were drawn by chance it was right on "
            f"{percent(told['share'])} ({span(told['low'], told['high'])})."
        )
    return said


def _done(told: Mapping[str, Any]) -> list[str]:
    if not told["acts"]:
        return ["No step was done."]
    return [
        f"{i}. **{_text(one['title'])}** {one['state']} by {_text(one['by_end'] or one['by'])}, "
        f"{day(one['ended'] or one['began'])}. {_text(one['reason'])}"
        for i, one in enumerate(told["acts"], 1)
    ]


def _evidence(told: Mapping[str, Any]) -> list[str]:
    evidence = told["evidence"]
    if evidence is None:
        return ["None was frozen."]
    lines = [
        f"{many(evidence['files'], 'file', 'files')} in `{evidence['folder']}` on "
        f"{_text(evidence['host'])}, manifest SHA-256 `{evidence['digest']}`. "
        + (_text(evidence["altered"]) or "All are as they were frozen.")
    ]
    if evidence["left_out"]:
        lines.append("")
    return lines + [f"- Left out: {_text(p)}. {_text(why)}" for p, why in evidence["left_out"]]


def _lessons(told: Mapping[str, Any]) -> list[str]:
    said = [*told["notes"], *([told["closed"]] if told["closed"] else [])]
    return [f"- {_text(one['by'])}: {_text(one['text'])}" for one in said] or ["Nobody noted one."]


def commands(told: Mapping[str, Any], store: str | None) -> list[tuple[str, str]]:
    """What was done, as sentences and commands for another incident."""
    where = f" --store {quote(store)}" if store else ""
    service = quote(re.sub(r"[\x00-\x1f]", " ", told["service"]))
    opened = f"leaven incident open {service} --reason TEXT{where}"
    done = [one for one in told["acts"] if one["state"] in (DONE, UNDONE)]
    steps = [
        (f"{one['title']}. It came to this: {one['reason']}",
         typed("NUMBER", one["step"], one["settings"], store))
        for one in done
    ]  # fmt: skip
    close = f"leaven incident close NUMBER --reason TEXT{where}"
    return [
        ("Open an incident, which freezes the evidence.", opened), *steps,
        ("Close it, and write it down: leaven incident report.", close),
    ]  # fmt: skip


def _listed(told: Mapping[str, Any], store: str | None) -> list[str]:
    lines = []
    for i, (said, command) in enumerate(commands(told, store), 1):
        lines += [f"{i}. {_text(said)}", "   ```sh", f"   {command}", "   ```"]
    return lines


def _text(told: Any) -> str:
    """What anybody may have typed as one line of text, in which Markdown and HTML mean nothing."""
    line = " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", str(told)).split())
    return re.sub(r"([\\`*_{}\[\]>#|~&!])", r"\\\1", line).replace("<", "&lt;")
