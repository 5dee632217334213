"""The page of a loop: where it stands and why, as a picture, what comes next, and every cycle."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from leaven.core.wording import count, duration, many
from leaven.evaluate.report.svg import responsive
from leaven.evaluate.report.template import page
from leaven.operate.loop.picture import drawn
from leaven.operate.loop.states import REST, STATES

__all__ = ["rendered"]

_CYCLES, _STEPS = 200, 40  # that are listed


def rendered(told: Mapping[str, Any], *, created: str, leaven: str) -> str:
    """One self-contained HTML page of what `leaven.operate.loop.told.told` gives."""
    cycles = told["cycles"]
    last = cycles[-1] if cycles else None
    passed = set() if last is None else set(last["path"])
    story = {
        "service": told["service"], "created": created, "leaven": leaven,
        "sentence": _sentence(told), "why": told["why"], "waits": told["waits"],
        "cycles": many(len(cycles), "cycle", "cycles"),
    }  # fmt: skip
    return page(
        "loop.html.j2",
        story,
        badge=_badge(told),
        title=f"It stands at {told['title']}",
        chart=responsive(lambda width: drawn(told["state"], passed, width)),
        next=told["next"],
        steps=[_step(one) for one in (last["steps"] if last else ())][-_STEPS:],
        rows=[_row(one) for one in reversed(cycles[-_CYCLES:])],
        left_out=count(len(cycles) - _CYCLES) if len(cycles) > _CYCLES else "",
    )


def _badge(told: Mapping[str, Any]) -> dict[str, str]:
    if "loop" in told["paused"]:
        return {"icon": "‖", "word": "Paused", "tone": "alarm"}
    if told["state"] == "approving" and told["decision"] is None:
        return {"icon": "?", "word": "A person decides", "tone": "alarm"}
    if told["state"] == REST:
        return {"icon": "✓", "word": "Waiting", "tone": "calm"}
    return {"icon": "▸", "word": told["title"], "tone": "good"}


def _sentence(told: Mapping[str, Any]) -> str:
    if not told["cycle"]:
        return "No cycle has begun yet."
    since = f"since {_when(told['since'])}"
    if told["state"] == REST:
        return f"Cycle {told['cycle']} has ended, and the loop waits {since}."
    return f"Cycle {told['cycle']} stands at {told['title']}, {since}."


def _step(one: Mapping[str, Any]) -> dict[str, str]:
    titles = {name: state.title for name, state in STATES.items()}
    return {
        "at": _when(one["at"]), "reason": one["reason"],
        "what": f"{titles[one['from']]}: {one['outcome']}",
    }  # fmt: skip


def _row(one: Mapping[str, Any]) -> dict[str, str]:
    ended = one["ended"]
    return {
        "cycle": count(one["cycle"]), "began": _when(one["began"]), "by": one["by"],
        "run": one["run"] or "–", "outcome": one["outcome"] or "goes on",
        "took": duration(ended - one["began"]) if ended else "–",
    }  # fmt: skip


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
