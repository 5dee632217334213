"""An incident in plain values: for the command line, programs and what is written of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from shlex import quote
from typing import Any

from leaven.operate.incidents.causes import ranked
from leaven.operate.incidents.evidence import altered, read_part
from leaven.operate.incidents.incident import Act, Event, Incident
from leaven.operate.incidents.relabelled import relabelled
from leaven.operate.incidents.step import STEPS
from leaven.operate.incidents.times import Times
from leaven.store.store import Store

__all__ = ["act_told", "checklist", "told", "typed"]

_DAY = 86_400.0


def told(store: Store, incident: Incident, times: Times, *, check: bool = True) -> dict[str, Any]:
    """What is known of an incident.

    `number`, `service`, `reason`, `by`, `open`, `times`, `alert` (None without), `evidence` (None
    while there is none; with `altered`, why it is not what was frozen, None where that was not
    asked for by `check`, which reads all of it), `causes`, `changes` (what
    was released in the day before), `acts`, `relabelled` (what people said of the sample, None
    without one), `notes` and `closed` (None while it is open).
    """
    frozen = None if incident.evidence is None else incident.evidence.told
    evidence = None
    if frozen is not None:
        kept = {name: frozen[name] for name in ("folder", "host", "digest", "files", "left_out")}
        evidence = kept | {"altered": altered(kept["folder"], kept["digest"]) if check else None}
    sample = relabelled(store, f"incident {incident.number}")
    return {
        "number": incident.number,
        "service": incident.service,
        "reason": incident.reason,
        "by": incident.by,
        "open": incident.closed is None,
        "times": times.told(),
        "alert": incident.alert,
        "evidence": evidence,
        "causes": [] if frozen is None else frozen["causes"],
        "changes": [] if frozen is None else _changes(frozen["folder"], times),
        "acts": [act_told(act) for act in incident.acts],
        "relabelled": None if sample is None else asdict(sample),
        "notes": [_note(event) for event in incident.notes],
        "closed": None if incident.closed is None else _note(incident.closed),
    }


def checklist(incident: Incident, store: str | None) -> list[dict[str, Any]]:
    """The steps, those that the evidence speaks for first.

    Each has `step`, `title`, `does`, `takes`, the `command`, `why` it comes where it does ("" where
    nothing speaks for it), and how it stands: `state` ("" where it was not begun), `by`, `at`,
    `reason`.

    Parameters
    ----------
    store : is given with each command; None for the default one.
    """
    causes = [] if incident.evidence is None else incident.evidence.told["causes"]
    names = ranked([(name, step.rank) for name, step in STEPS.items()], causes)
    return [_row(incident, name, causes, store) for name in names]


def typed(number: int | str, step: str, settings: Mapping[str, Any], store: str | None) -> str:
    """The command that does a step with these settings."""
    words = ["leaven", "incident", "do", str(number), quote(step)]
    for name, value in settings.items():
        for one in value if isinstance(value, list) else [value]:
            words += ["--set", quote(f"{name}={_said(one)}")]
    return " ".join(words + (["--store", quote(store)] if store else []))


def _row(
    incident: Incident, name: str, causes: Sequence[Mapping[str, Any]], store: str | None
) -> dict[str, Any]:
    step = STEPS[name]
    mine = [one for one in causes if one["step"] == name]
    settings = mine[0]["settings"] if mine else {}
    acts = [act for act in incident.acts if act.step == name]
    last = acts[-1] if acts else None
    return {
        "step": name, "title": step.title, "does": step.does, "takes": dict(step.takes),
        "command": typed(incident.number, name, settings, store),
        "why": " ".join(dict.fromkeys(one["sentence"] for one in mine)),
        "state": "" if last is None else last.state,
        "by": "" if last is None else last.by_end or last.by,
        "at": None if last is None else last.ended or last.began,
        "reason": "" if last is None else last.reason,
    }  # fmt: skip


def _changes(folder: str, times: Times) -> list[dict[str, Any]]:
    """What was released in the day before the fault, or the opening, as the evidence has it."""
    told = read_part(folder, "releases.json") or {"events": []}
    since = (times.opened if times.began is None else times.began) - _DAY
    return [
        {name: one[name] for name in ("at", "kind", "run", "share", "person", "reason")}
        for one in told["events"]
        if one["at"] >= since
    ]


def act_told(act: Act) -> dict[str, Any]:
    """An act as plain values, without what was chosen, which may hold records."""
    kept = {name: one for name, one in asdict(act).items() if name != "plan"}
    return kept | {"title": STEPS[act.step].title if act.step in STEPS else act.step}


def _note(event: Event) -> dict[str, Any]:
    return {"at": event.at, "by": event.person, "text": event.reason}


def _said(value: Any) -> str:
    """A value as it is typed, in one line."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return re.sub(r"[\x00-\x1f\x7f]", " ", text)
