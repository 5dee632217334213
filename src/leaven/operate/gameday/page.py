"""The page of a game day: what was kept, and of each drill its promises, figures and course."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from leaven.core.wording import MISSING, THIN, count, decimal, duration, many
from leaven.evaluate.report.svg import responsive
from leaven.evaluate.report.template import page
from leaven.operate.gameday.charts import course
from leaven.operate.gameday.drill import SECONDS
from leaven.operate.gameday.judging import BROKEN, KEPT, UNTOLD

__all__ = ["allowed", "rendered", "seconds"]

_BADGES = {
    KEPT: {"icon": "✓", "word": "Kept", "tone": "good"},
    BROKEN: {"icon": "▲", "word": "Not kept", "tone": "alarm"},
    UNTOLD: {"icon": "≈", "word": "Could not be told", "tone": "calm"},
}


def rendered(told: Mapping[str, Any], leaven: str) -> str:
    """One self-contained HTML page of what `leaven.operate.gameday.playing.play` gives."""
    made = datetime.fromtimestamp(told["at"], UTC).strftime("%Y-%m-%d %H:%M UTC")
    story = {
        "created": made, "leaven": leaven, "sentence": told["sentence"], "seed": told["seed"],
        "data": told["data"], "store": told["store"], "machine": told["machine"],
        "load": decimal(told["load"]), "drills": many(len(told["drills"]), "drill", "drills"),
    }  # fmt: skip
    return page(
        "gameday.html.j2",
        story,
        badge=_BADGES[told["outcome"]],
        drills=[_drill(one) for one in told["drills"]],
    )


def allowed(promise: Mapping[str, Any]) -> str:
    """The largest figure that keeps it, in words."""
    unit = f"{THIN}s" if promise["unit"] == SECONDS else ""
    return f"at most {count(promise['most'])}{unit}" if promise["most"] else "none"


def seconds(value: float | None) -> str:
    """Seconds from the fault on; a dash where there is nothing to tell."""
    return MISSING if value is None else f"{decimal(value)}{THIN}s"


def _drill(told: Mapping[str, Any]) -> dict[str, Any]:
    answered, failed = (sum(one[place] for one in told["answers"]) for place in (0, 1))
    kept = sum(one["outcome"] == KEPT for one in told["promises"])
    return {
        **{name: told[name] for name in ("name", "says", "outcome", "sentence", "problem")},
        "badge": _BADGES[told["outcome"]],
        "kept": f"{kept} of {len(told['promises'])}",
        "detected": seconds(told["detected"]), "mended": seconds(told["mended"]),
        "took": duration(told["seconds"]), "store": told["store"],
        "promises": [
            {**one, "allowed": allowed(one), "badge": _BADGES[one["outcome"]]}
            for one in told["promises"]
        ],
        "title": f"{count(answered + failed)} predictions were asked for, {count(failed)} failed",
        "chart": responsive(lambda width: course(told["answers"], told["entries"], width))
        if told["answers"] else "",
        "entries": [{**one, "at": seconds(one["at"])} for one in told["entries"]],
    }  # fmt: skip
