"""What the evidence speaks for, and which step answers it: each with its figure.

A cause here is a suspicion that puts a step before others. None is a proof.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from leaven.core.wording import count, duration, percent, span
from leaven.operate.incidents.parts import Site

__all__ = ["Cause", "causes", "ranked"]

_RECENT = 86_400.0  # seconds before the fault in which a change is suspected
_FEW = 5  # labels of a source that are known, under which nothing is said of it
_MISLEADS = 0.1  # share of wrong labels that a source must be shown to exceed
#: Signals of health that are about what answers are worth, not about what came.
_WORTH = ("accuracy, audited", "calibration, audited")


@dataclass(frozen=True)
class Cause:
    """A suspicion: which `step` answers it, with which `settings`, and how much speaks for it.

    `weight` orders causes and is no probability.
    """

    name: str
    sentence: str
    step: str
    weight: float
    settings: Mapping[str, Any] = field(default_factory=dict)


def causes(parts: Mapping[str, Any], site: Site) -> list[Cause]:
    """The suspicions that the parts of the evidence give, the strongest first."""
    found: list[Cause] = []
    for look in _LOOKS:
        found += look(parts, site)
    return sorted(found, key=lambda one: -one.weight)


def ranked(steps: Sequence[tuple[str, int]], found: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of steps, those that causes speak for first, else by their rank.

    What follows on others (to retrain, to release, to resume) keeps its place at the end.

    Parameters
    ----------
    steps : names and ranks.
    found : causes as plain values, the strongest first.

    >>> ranked([("pause", 10), ("back", 30), ("retrain", 60)], [{"step": "back"}])
    ['back', 'pause', 'retrain']
    """
    order = list(dict.fromkeys(one["step"] for one in found))
    place = {name: i for i, name in enumerate(order)}
    return [
        name
        for name, rank in sorted(
            steps,
            key=lambda one: (one[1] >= _AFTER, place.get(one[0], len(place))
                             if one[1] < _AFTER else 0, one[1]),
        )
    ]  # fmt: skip


_AFTER = 60  # the rank from which on steps follow on others


def _change(parts: Mapping[str, Any], site: Site) -> list[Cause]:
    """What began to serve shortly before."""
    told = parts.get("releases.json")
    if not told:
        return []
    events = [one for one in told["events"] if one["kind"] in ("canary", "live")]
    new = [one for one in events if one["at"] >= site.since - _RECENT]
    state = told["state"]
    if not new or not (state["canary"] or state["before"]):
        return []
    last = new[-1]
    serves = state["canary"] or state["live"]
    if serves is None or last["run"] != serves["run"]:
        return []
    before = site.incident.opened - last["at"]
    became = "went live"
    if last["share"] is not None:
        became = f"became a canary of {percent(last['share'], 0)}"
    said = f"'{last['run']}' {became} {duration(before)} before the incident was opened."
    worse = any(_alarms(parts)) or _burns(parts)
    return [Cause("change", said, "roll-back", 95 if worse else 85)]


def _alarms(parts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    told = parts.get("health.json") or {"signals": []}
    return [one for one in told["signals"] if one["verdict"] == "alarm"]


def _burns(parts: Mapping[str, Any]) -> bool:
    """Whether somebody is woken for requests that fail or are slow."""
    told = parts.get("objectives.json") or {"open": []}
    return any(one["slo"] in ("errors", "latency") for one in told["open"])


def _classes(parts: Mapping[str, Any], site: Site) -> list[Cause]:
    """Classes whose pseudo-labels audits show to miss the target, or no longer show to reach it."""
    bad = [one for one in parts.get("pseudo-labels.json") or []
           if one["state"] in ("stopped", "paused")]  # fmt: skip
    worst = sorted(bad, key=lambda one: (one["state"] != "stopped", one["high"]))[:3]
    return [
        Cause("pseudo-labels", one["sentence"], "pause-labelling",
              90 if one["state"] == "stopped" else 60)
        for one in worst
    ]  # fmt: skip


def _misleading(parts: Mapping[str, Any], site: Site) -> list[Cause]:
    """Sources whose labels are shown to be wrong too often."""
    found = []
    for one in parts.get("sources.json") or []:
        if one["n"] < _FEW or one["low"] <= _MISLEADS:
            continue
        said = (
            f"{count(one['wrong'])} of {count(one['n'])} labels of '{one['name']}' of which the "
            f"truth is known are wrong ({span(one['low'], one['high'])} of them)."
        )
        if one["kind"] == "rule":
            found.append(Cause("source", said, "pause-labelling", 80))
        elif one["kind"] == "person":
            found.append(Cause("source", said, "revoke", 80, {"person": one["name"]}))
        else:
            found.append(Cause("source", said, "sample", 80))
    return found[:3]


def _truth(parts: Mapping[str, Any], site: Site) -> list[Cause]:
    """Answers that are not worth what was promised; what is taken for what; who taught it."""
    alarms = [one for one in _alarms(parts) if one["name"] in _WORTH]
    found = [Cause("answers", one["sentence"], "sample", 70) for one in alarms]
    wrong = (parts.get("answers.json") or {}).get("confused") or []
    if wrong and wrong[0]["n"] >= _FEW:
        first = wrong[0]
        said = (
            f"'{first['run']}' answered '{first['said']}', and the truth was '{first['truth']}': "
            f"{count(first['n'])} of {count(first['of'])} such answers of which the truth is known."
        )
        found.append(Cause("confused", said, "sample", 65))
    new = parts.get("newcomers.json") or []
    if alarms and new and new[0]["origin"] == "person":
        first = new[0]
        said = (
            f"{count(first['n'])} of {count(first['total'])} labels that taught the live run and "
            f"not the one before are of '{first['by']}'."
        )
        found.append(Cause("newcomer", said, "revoke", 55, {"person": first["by"]}))
    return found


def _drift(parts: Mapping[str, Any], site: Site) -> list[Cause]:
    return [
        Cause("drift", one["sentence"], "sample", 50)
        for one in _alarms(parts)
        if one["name"] not in _WORTH
    ]


_LOOKS: Sequence[Callable[[Mapping[str, Any], Site], list[Cause]]] = (
    _change, _classes, _misleading, _truth, _drift,
)  # fmt: skip
