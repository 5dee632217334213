"""The postmortem as a page: what happened, when, what spoke for what, what was done and learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from leaven.core.wording import count, duration, many
from leaven.evaluate.report.svg import responsive
from leaven.evaluate.report.template import page
from leaven.operate.incidents.incident import BEGUN, DONE, UNDONE, Event
from leaven.operate.incidents.picture import spans, timeline
from leaven.operate.incidents.times import day
from leaven.operate.incidents.writing import commands, moments, sampled, summary

__all__ = ["rendered"]

_DRAWN = 40  # moments in the picture


def rendered(
    told: Mapping[str, Any], history: Sequence[Event], store: str | None, created: str, leaven: str
) -> str:
    """One self-contained HTML page of what `leaven.operate.incidents.told.told` gives."""
    happened, times = moments(told, history), told["times"]
    story = {
        "number": count(told["number"]), "service": told["service"], "reason": told["reason"],
        "by": told["by"], "created": created, "leaven": leaven, "sentence": summary(told),
    }  # fmt: skip
    done = [one for one in told["acts"] if one["state"] != BEGUN]
    return page(
        "incident.html.j2",
        story,
        badge=_badge(told),
        tiles=[
            ("Time to detect", duration(times["to_detect"]), times["detected_how"]),
            ("Time to mend", duration(times["to_mend"]), times["mended_how"]),
        ],
        spans=responsive(lambda width: spans(times, width)),
        stood=f"{duration(times['to_detect'])} to detect, {duration(times['to_mend'])} to mend",
        title=_first_step(told),
        timeline=responsive(lambda width: timeline(happened[:_DRAWN], width)),
        left_out=count(len(happened) - _DRAWN) if len(happened) > _DRAWN else "",
        facts=_facts(times),
        causes=told["causes"],
        sampled="" if told["relabelled"] is None else sampled(told["relabelled"]),
        acts=[_act(one) for one in done],
        evidence=told["evidence"],
        files="" if told["evidence"] is None else many(told["evidence"]["files"], "file", "files"),
        notes=[*told["notes"], *([told["closed"]] if told["closed"] else [])],
        commands=commands(told, store),
    )


def _first_step(told: Mapping[str, Any]) -> str:
    done = [one["ended"] for one in told["acts"] if one["state"] in (DONE, UNDONE)]
    if not done:
        return "No step was done"
    after = duration(min(done) - told["times"]["opened"])
    return f"The first step was done {after} after the incident was opened"


def _badge(told: Mapping[str, Any]) -> dict[str, str]:
    if not told["open"]:
        return {"icon": "✓", "word": "Closed", "tone": "calm"}
    if told["times"]["mended"] is not None:
        return {"icon": "✓", "word": "Mended, not closed", "tone": "good"}
    return {"icon": "▲", "word": "Open", "tone": "alarm"}


def _facts(times: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [
        ("Began", day(times["began"]) or "not known", times["began_how"]),
        ("Detected", day(times["detected"]), times["detected_how"]),
        ("Opened", day(times["opened"]), ""),
        ("Mended", day(times["mended"]) or "–", times["mended_how"]),
        ("Closed", day(times["closed"]) or "–", ""),
    ]


def _act(one: Mapping[str, Any]) -> dict[str, str]:
    return {
        "title": one["title"], "state": one["state"], "reason": one["reason"],
        "by": one["by_end"] or one["by"], "at": day(one["ended"] or one["began"]),
        "settings": ", ".join(f"{name}={value}" for name, value in one["settings"].items()),
    }  # fmt: skip
