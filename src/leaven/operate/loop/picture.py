"""The loop as a picture: its states, where it stands, the way it came, and what comes next."""

from __future__ import annotations

from collections.abc import Collection

from markupsafe import Markup

from leaven.evaluate.report.svg import group, picture, text
from leaven.operate.loop.states import STATES, TRANSITIONS, State, Transition

__all__ = ["drawn"]


def drawn(state: str, passed: Collection[str], width: int) -> Markup:
    """The states and what leads from one to another.

    Parameters
    ----------
    state : where the loop stands; what may come next is drawn in full.
    passed : the states that the cycle went through.
    width : 720 for two rows of four; less for a column.
    """
    plan = _Plan(width)
    ways = sorted(_pairs(), key=lambda one: one.source == state)  # what may come next is on top
    arrows = [plan.arrow(one, one.source == state) for one in ways]
    boxes = [plan.box(one, one.name == state, one.name in passed) for one in STATES.values()]
    now = STATES[state]
    leads = " or ".join(STATES[one.target].title for one in _pairs() if one.source == state)
    label = f"The loop stands at {now.title}. What may come next: {leads}."
    return picture(width, plan.height, label, _head(plan.head), *arrows, *boxes)


def _pairs() -> list[Transition]:
    """One transition for each two states, which says all that leads from the one to the other."""
    found: dict[tuple[str, str], Transition] = {}
    for one in TRANSITIONS:
        key = one.source, one.target
        before = found.get(key)
        says = one.says if before is None else f"{before.says}, or {one.says}"
        found[key] = Transition(one.source, one.outcome, one.target, says)
    return list(found.values())


def _head(name: str) -> str:
    """An arrow's head, which has the colour of its line."""
    return (
        f'<defs><marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" '
        'markerHeight="9" markerUnits="userSpaceOnUse" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="context-stroke"/></marker></defs>'
    )


class _Plan:
    """Where everything is: a ring of two rows, or on a phone a column with all ways on one side."""

    def __init__(self, width: int) -> None:
        self._wide = width >= 640
        self.head = f"head-{width}"  # a page holds the picture in two widths
        self._across, self._down = (180, 190) if self._wide else (0, 76)
        self._box = (124, 52) if self._wide else (132, 44)
        self._order = [one.name for one in STATES.values()]
        rows = 2 if self._wide else len(STATES)
        self.height = 40 + self._down * (rows - 1) + self._box[1] + (40 if self._wide else 0)

    def middle(self, state: State) -> tuple[float, float]:
        """The middle of a state's box."""
        if self._wide:
            return 90 + self._across * state.column, 66 + self._down * state.row
        return 90, 42 + self._down * self._order.index(state.name)

    def box(self, state: State, here: bool, passed: bool) -> str:
        """A state; the one where the loop stands is filled."""
        (x, y), (width, height) = self.middle(state), self._box
        kind = "ours" if here else "empty"
        edge = "stroke ours" if passed and not here else ""
        shape = (
            f'<rect x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width}" '
            f'height="{height}" rx="10" class="{kind} {edge}"/>'
        )
        title = text(x, y + 5, state.title, "strong on" if here else "strong", "middle")
        return group(f"{state.title}: {state.does}", shape, title)

    def arrow(self, one: Transition, leads: bool) -> str:
        """What leads from one state to another; in full where it may come next."""
        source, target = STATES[one.source], STATES[one.target]
        way = self._around(source, target) if self._wide else self._beside(source, target)
        kind = "stroke ours" if leads else "stroke plain"
        faint = "" if leads else ' opacity="0.35"'
        shape = f'<path d="{way}" class="{kind}"{faint} marker-end="url(#{self.head})"/>'
        return group(f"{source.title} to {target.title}: {one.says}", shape)

    def _around(self, source: State, target: State) -> str:
        """In two rows: straight to a neighbour, over the states between, or across."""
        (x1, y1), (x2, y2) = self.middle(source), self.middle(target)
        width, height = self._box
        right = 1 if x2 > x1 else -1
        if source.row == target.row and abs(source.column - target.column) == 1:
            apart = 8 * right if _is_mutual(source, target) else 0
            near, far = x1 + right * width / 2, x2 - right * (width / 2 + 2)
            return _straight(near, y1 - apart, far, y2 - apart)
        if source.row == target.row:
            out = -1 if source.row == 0 else 1
            reach = y1 + out * (height / 2 + 16 * abs(source.column - target.column))
            near, far = y1 + out * height / 2, y2 + out * (height / 2 + 2)
            return _curved(x1, near, x1, reach, x2, reach, x2, far)
        down = 1 if y2 > y1 else -1
        near, far = y1 + down * height / 2, y2 - down * (height / 2 + 2)
        if source.column == target.column:
            return _straight(x1, near, x2, far)
        x1, x2 = x1 + right * 36, x2 - right * 36
        bend = (near + far) / 2
        return _curved(x1, near, x1, bend, x2, bend, x2, far)

    def _beside(self, source: State, target: State) -> str:
        """In a column: straight to the next one, else around on the right."""
        (x1, y1), (x2, y2) = self.middle(source), self.middle(target)
        width, height = self._box
        apart = self._order.index(target.name) - self._order.index(source.name)
        if apart == 1:
            return _straight(x1, y1 + height / 2, x2, y2 - height / 2 - 2)
        reach = x1 + width / 2 + 14 + 16 * abs(apart)
        off = 6 if apart > 0 else -6
        y1, y2 = y1 + off, y2 + off
        return _curved(x1 + width / 2, y1, reach, y1, reach, y2, x2 + width / 2 + 2, y2)


def _is_mutual(one: State, other: State) -> bool:
    """Whether each leads to the other."""
    ways = {(way.source, way.target) for way in TRANSITIONS}
    return {(one.name, other.name), (other.name, one.name)} <= ways


def _straight(x1: float, y1: float, x2: float, y2: float) -> str:
    return f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"


def _curved(x1: float, y1: float, *bends_and_end: float) -> str:
    """From a place by two bends to an end."""
    return f"M{x1:.1f} {y1:.1f}C{' '.join(f'{one:.1f}' for one in bends_and_end)}"
