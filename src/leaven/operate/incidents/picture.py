"""An incident as pictures: how long it stood and how long it took, and all that happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from leaven.core.wording import duration
from leaven.evaluate.report.svg import Scale, circle, fit, group, line, picture, rect, text
from leaven.operate.incidents.times import day
from leaven.operate.incidents.writing import Moment

__all__ = ["spans", "timeline"]

#: The colour of a moment by its kind.
_DOTS = {
    "fault": "alarm", "alert": "alarm", "failed": "alarm", "change": "theirs", "people": "people",
    "step": "ours", "end": "ink",
}  # fmt: skip
_BAR = 18


def spans(times: Mapping[str, Any], width: int) -> Markup:
    """Time to detect above time to mend, on one scale of time. `times` as of `Times.told`."""
    ends = [at for name in ("began", "detected", "opened", "mended", "closed")
            if (at := times[name]) is not None]  # fmt: skip
    low, high = min(ends), max(ends)
    scale = Scale(low, high if high > low else low + 1, 0, width - 1)
    shapes, y = [], 14
    rows = [
        ("To detect", times["began"], times["detected"], times["to_detect"], "alarm",
         times["detected_how"]),
        ("To mend", times["opened"], times["mended"], times["to_mend"], "ours",
         times["mended_how"]),
    ]  # fmt: skip
    for name, start, end, seconds, kind, how in rows:
        known = start is not None and end is not None
        said = f"{name}: {duration(seconds) if known else 'not known'}"
        left = scale(start) if known else 0.0
        # A label stands over its bar, and never out of the picture.
        anchor = "end" if left > width * 0.6 else "start"
        at = max(scale(end), left + 3) if known and anchor == "end" else left
        bar = rect(0, y + 8, width, _BAR, "empty")
        if known:
            bar += rect(left, y + 8, max(scale(end) - left, 3), _BAR, kind)
        shapes.append(group(f"{said}. {how}", bar, text(at, y, said, "strong", anchor)))
        y += _BAR + 36
    below = 0 if width > 500 else 18  # on a phone the two do not fit beside each other
    shapes.append(text(0, y, day(low), "soft small"))
    shapes.append(text(width - 1, y + below, day(high), "soft small", "end"))
    detect, mend = duration(times["to_detect"]), duration(times["to_mend"])
    label = f"Time to detect {detect}, time to mend {mend}."
    return picture(width, y + 8 + below, label, *shapes)


def timeline(moments: Sequence[Moment], width: int) -> Markup:
    """All moments from top to bottom, with the time that lies between one and the next."""
    wide = width > 500
    across, down = (178, 54) if wide else (10, 76)
    room = width - across - 24
    shapes = [line(across, 18, across, 18 + down * max(len(moments) - 1, 0), "grid thick")]
    for i, one in enumerate(moments):
        y = 18 + i * down
        gap = f"+{duration(one.at - moments[i - 1].at)}" if i else ""
        who = f"{one.who}: " if one.who else ""
        parts = [circle(across, y, 6, _DOTS[one.kind])]
        if wide:
            parts += [text(0, y + 5, day(one.at), "soft small"), text(0, y + 22, gap, "soft small")]
            parts.append(text(across + 20, y + 5, fit(one.what, room), "strong"))
            parts.append(text(across + 20, y + 23, fit(who + one.why, room), "soft"))
        else:
            parts.append(text(across + 16, y + 5, fit(one.what, room), "strong"))
            parts.append(text(across + 16, y + 23, fit(who + one.why, room), "soft"))
            said = f"{day(one.at)}{'  ' + gap if gap else ''}"
            parts.append(text(across + 16, y + 40, fit(said, room), "soft small"))
        shapes.append(group(f"{day(one.at)} {one.what}. {who}{one.why}", *parts))
    label = "; ".join(f"{day(one.at)} {one.what}" for one in moments)
    return picture(width, 18 + down * max(len(moments) - 1, 0) + 48, label, *shapes)
