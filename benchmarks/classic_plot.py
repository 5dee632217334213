"""Methods by their mean over all sets, a dot for each number of labels."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.svg import dot, line, picture, text

__all__ = ["draw"]

_LEFT, _RIGHT, _TOP, _LINE = 210, 40, 92, 19
_WIDTH = 430

#: A method's name, whether it is ours, and its means in % by number of labels.
Line = tuple[str, bool, dict[int, float]]


def draw(lines: Sequence[Line], title: str) -> str:
    """The picture, best means first; larger dots are of more labels."""
    ordered = sorted(lines, key=lambda one: -sum(one[2].values()))
    values = [value for _, _, means in lines for value in means.values()]
    low, high = 10 * (min(values) // 10), 10 * (max(values) // 10 + 1)
    bottom = _TOP + _LINE * len(ordered)

    def across(value: float) -> float:
        return _LEFT + (value - low) / (high - low) * _WIDTH

    labels = sorted({count for _, _, means in lines for count in means})
    shapes = [text(16, 26, title, "title")]
    said = ", ".join(map(str, labels[:-1])) + f" and {labels[-1]}"
    shapes.append(text(16, 46, f"% right, from left to right with {said} labels a class", "soft"))
    for tick in range(int(low), int(high) + 1, 10):
        shapes.append(line(across(tick), _TOP - 12, across(tick), bottom, "rule"))
        shapes.append(text(across(tick), _TOP - 18, str(tick), "soft", "middle"))
    for number, (name, ours, means) in enumerate(ordered):
        y = _TOP + _LINE * (number + 0.5)
        kind = "ours" if ours else "peer"
        shapes.append(text(_LEFT - 14, y + 4, name, "name-ours" if ours else "soft", "end"))
        ends = sorted(means.values())
        shapes.append(line(across(ends[0]), y, across(ends[-1]), y, f"{kind}-bar"))
        for count, value in sorted(means.items()):
            radius = 3 + 1.2 * labels.index(count)
            shapes.append(dot(across(value), y, radius, kind, f"{count} a class: {value:.1f} %"))
    return picture(_LEFT + _WIDTH + _RIGHT, bottom + 20, title, shapes)
