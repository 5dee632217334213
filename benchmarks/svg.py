"""What the pictures of results are drawn with: colours for light and dark, words, lines, dots."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

__all__ = ["dot", "line", "picture", "text", "wrapped"]

_STYLE = """
svg { font: 12px system-ui, sans-serif; font-variant-numeric: tabular-nums;
  --paper: #fdfbf8; --ink: #221c16; --soft: #6a6057; --rule: #e6ddd2;
  --ours: #ad5413; --theirs: #77736e; }
@media (prefers-color-scheme: dark) { svg { --paper: #181410; --ink: #efe7dc; --soft: #ada194;
  --rule: #3a322a; --ours: #e8924f; --theirs: #a39e98; } }
.paper { fill: var(--paper) } text { fill: var(--ink) } .soft { fill: var(--soft) }
.title { font-size: 15px; font-weight: 600 } .head { font-weight: 600 }
.name-ours { fill: var(--ours); font-weight: 600 }
.rule { stroke: var(--rule) } .peer { fill: var(--soft) } .peer-bar { stroke: var(--soft) }
.ours { fill: var(--ours) } .ours-bar { stroke: var(--ours); stroke-width: 2 }
.baseline { fill: var(--paper); stroke: var(--theirs); stroke-width: 2 }
.baseline-bar { stroke: var(--theirs); stroke-width: 2 }
.gain { stroke: var(--rule); stroke-width: 5; stroke-linecap: round }
"""


def picture(width: float, height: float, title: str, shapes: Iterable[str], style: str = "") -> str:
    """A whole picture; the title is what is read aloud in its place, the style its own addition."""
    paper = f'<rect class="paper" width="{width}" height="{height}"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-label="{escape(title)}">'
        f"<style>{_STYLE}{style}</style>\n" + "\n".join([paper, *shapes]) + "\n</svg>\n"
    )


def wrapped(content: str, width: float, lines: int = 2) -> list[str]:
    """At most so many lines of the title's size; the last one takes the rest."""
    most, found = int(width / 8.9), []
    while len(content) > most and len(found) < lines - 1:
        cut = content.rfind(" ", 0, most)
        found.append(content[:cut])
        content = content[cut + 1 :]
    return [*found, content]


def text(x: float, y: float, content: str, kind: str, anchor: str = "start") -> str:
    """Words at a place, escaped."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">'
        f"{escape(content)}</text>"
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def dot(x: float, y: float, radius: float, kind: str, told: str) -> str:
    """A dot that says what it stands for when it is pointed at."""
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" class="{kind}">'
        f"<title>{escape(told)}</title></circle>"
    )
