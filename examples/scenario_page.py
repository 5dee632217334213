"""The report of a scenario: what it showed, as plots, and every command with what came of it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files

from jinja2 import Environment
from markupsafe import Markup
from stage import Answer, Stage

from leaven import __version__
from leaven.core.wording import count, decimal, duration, percent, points
from leaven.evaluate.intervals import wilson
from leaven.evaluate.report.svg import (
    Scale,
    circle,
    fit,
    group,
    line,
    picture,
    rect,
    responsive,
    text,
)

__all__ = ["Figure", "Mark", "Share", "by_run", "over_time", "page", "shares", "share_of"]

_LEFT, _TOP, _BOTTOM = 46, 34, 200
_NUMBER = 17  # across the number of a mark


@dataclass(frozen=True)
class Share:
    """A share of n things with its 95 % interval (Wilson), at a time where it has one."""

    value: float
    low: float
    high: float
    n: int
    at: float = 0.0

    def ends(self) -> str:
        """Its interval and n in words."""
        span = f"{points(self.low, sign=False)} to {points(self.high, sign=False)}"
        return f"{span}, n {count(self.n)}"


@dataclass(frozen=True)
class Mark:
    """Something that happened at a time, in seconds since 1970."""

    at: float
    title: str


@dataclass(frozen=True)
class Figure:
    """A plot under its finding; `key` names its colours, `marks` what its numbers stand for."""

    title: str
    note: str
    draw: Callable[[int], Markup]
    key: Sequence[tuple[str, str]] = ()
    marks: Sequence[Mark] = ()

    @property
    def chart(self) -> Markup:
        """It, as wide as the page has room for."""
        return responsive(self.draw)

    @property
    def told(self) -> list[tuple[str, str]]:
        """What the numbers stand for, each with the time since the first of them."""
        return [(one.title, f"+{decimal(one.at - self.marks[0].at)} s") for one in self.marks]


def share_of(won: int, n: int, at: float = 0.0) -> Share:
    """A share and its interval."""
    low, high = wilson(won, n)
    return Share(won / n if n else float("nan"), float(low), float(high), n, at)


def shares(
    answers: Sequence[Answer], holds: Callable[[Answer], bool], bins: int = 30
) -> list[Share]:
    """Of how many answers it holds, in so many equal parts of their time."""
    if not answers:
        return []
    first, last = answers[0].began, answers[-1].began
    wide = max((last - first) / bins, 0.001)
    found = []
    for i in range(bins + 1):
        mine = [one for one in answers if i <= (one.began - first) / wide < i + 1]
        if mine:
            middle = sum(one.began for one in mine) / len(mine)
            found.append(share_of(sum(map(holds, mine)), len(mine), middle))
    return found


def over_time(
    bands: Sequence[tuple[str, str, Sequence[Share]]],
    marks: Sequence[Mark],
    label: str,
    width: int,
) -> Markup:
    """Shares over time, with intervals, and what happened when as numbered lines.

    `bands` are (name, kind of colour, shares in order of time).
    """
    times = [one.at for _, _, band in bands for one in band] + [one.at for one in marks]
    began = min(times)
    x = Scale(0, max(max(times) - began, 1), _LEFT, width - 12, 3 if width < 500 else 6)
    y = Scale(0, 1, _BOTTOM, _TOP, 4)
    shapes = [line(_LEFT, y(t), width - 12, y(t), "grid") for t in y.ticks]
    shapes += [text(_LEFT - 8, y(t) + 4, percent(t, 0), "soft", "end") for t in y.ticks]
    shapes += [text(x(t), _BOTTOM + 18, f"{count(t)} s", "soft", "middle") for t in x.ticks]
    ats = [x(mark.at - began) for mark in marks]
    for number, (mark, at, place) in enumerate(
        zip(marks, ats, _apart(ats, width - 9), strict=True), 1
    ):
        shapes.append(
            group(
                f"{number}: {mark.title}",
                line(at, _TOP - 6, at, _BOTTOM, "axis dashed"),
                circle(place, 12, 8, "ink"),
                text(place, 16, str(number), "on small", "middle"),
            )
        )
    for name, kind, band in bands:
        path = " ".join(f"{x(one.at - began):.1f},{y(one.value):.1f}" for one in band)
        shapes.append(f'<polyline points="{path}" class="{kind} stroke"/>')
        for one in band:
            at = x(one.at - began)
            whisker = line(at, y(one.low), at, y(one.high), f"{kind} whisker")
            hover = f"{name} after {count(one.at - began)} s: {percent(one.value)} ({one.ends()})"
            shapes.append(group(hover, whisker, circle(at, y(one.value), 2.5, kind)))
    return picture(width, _BOTTOM + 26, label, *shapes)


def _apart(ats: Sequence[float], most: float) -> list[float]:
    """Ascending places moved so that numbers there neither cover each other nor leave the plot."""
    places: list[float] = []
    for at in ats:
        places.append(max(at, places[-1] + _NUMBER) if places else at)
    for i in reversed(range(len(places))):
        places[i] = min(places[i], most)
        most = places[i] - _NUMBER
    return places


def by_run(
    answers: Sequence[Answer], runs: Sequence[tuple[str, str, str]], decided: float, width: int
) -> Markup:
    """Each answer around a decision as a stroke in the row of the run that gave it.

    `runs` are (id, name, kind of colour), `decided` the second of the decision, since 1970.
    """
    room, step = (96 if width < 500 else 150), 40
    first = answers[0].began - decided
    last = answers[-1].began - decided
    x = Scale(first, max(last, first + 0.1), room, width - 12, 3 if width < 500 else 6)
    bottom = 14 + step * len(runs)
    shapes = [text(x(t), bottom + 18, f"{t:+g} s", "soft", "middle") for t in x.ticks]
    for i, (run, name, kind) in enumerate(runs):
        top = 14 + step * i
        mine = [one for one in answers if one.run == run]
        shapes.append(text(0, top + 21, fit(name, room - 8), f"{kind} strong"))
        shapes.append(rect(room, top + 4, width - 12 - room, step - 8, "empty"))
        shapes += [rect(x(one.began - decided) - 0.6, top + 4, 1.2, step - 8, kind) for one in mine]
    shapes.append(line(x(0), 6, x(0), bottom, "axis thick"))
    label = f"{count(len(answers))} answers by run, around the decision"
    return picture(width, bottom + 24, label, *shapes)


def page(
    title: str,
    stage: Stage,
    *,
    sentence: str,
    failed: bool = False,
    todo: Sequence[str] = (),
    tiles: Sequence[tuple[str, str, str]] = (),
    figures: Sequence[Figure] = (),
    facts: Sequence[tuple[str, str]] = (),
) -> str:
    """One self-contained HTML page; all that comes from outside is escaped.

    `tiles` are (name, figure, note), `todo` what follows from it, `facts` how it was made.
    """
    style = (files("leaven.evaluate.report") / "style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    made = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_PAGE)
    return made.render(
        title=title, style=Markup(style), digest=digest, version=__version__,  # noqa: S704 - ours
        sentence=sentence, failed=failed, todo=todo, tiles=tiles, figures=figures, facts=facts,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        typed=[
            (one.command, one.came, duration(one.seconds) if one.seconds else "")
            for one in stage.typed
        ],
    )  # fmt: skip


_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'sha256-{{ digest }}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="Leaven {{ version }}">
<title>{{ title }} · Leaven</title>
<link rel="icon" href="data:,">
<style>{{ style }}</style>
</head>
<body>
<a class="skip" href="#came">Skip to what came of it</a>
<div class="page">
<nav class="outline" aria-label="Contents">
<b>Leaven</b>
<ol>
<li><a href="#came">1 What came of it</a></li>
{% if figures %}<li><a href="#seen">2 What was seen</a></li>{% endif %}
<li><a href="#typed">{{ 3 if figures else 2 }} What was typed</a></li>
<li><a href="#made">{{ 4 if figures else 3 }} How it was made</a></li>
</ol>
</nav>
<main>
<header><h1>{{ title }}</h1><p class="about">{{ created }}</p></header>
<section class="verdict" id="came" aria-labelledby="came-title">
<span class="badge {{ 'alarm' if failed else 'good' }}"><span aria-hidden="true">\
{{ '▲' if failed else '✓' }}</span> {{ 'A step failed' if failed else 'As it should' }}</span>
<h2 id="came-title"><bdi>{{ sentence }}</bdi></h2>
{% if tiles %}
<dl class="tiles">{% for name, value, note in tiles %}<div><dt>{{ name }}</dt><dd>{{ value }}</dd>\
<dd>{{ note }}</dd></div>{% endfor %}</dl>
{% endif %}
{% for one in todo %}<p>{{ one }}</p>{% endfor %}
</section>
{% if figures %}
<section id="seen" aria-labelledby="seen-title">
<h2 id="seen-title">What was seen</h2>
{% for one in figures %}
<figure>
<figcaption><h3>{{ one.title }}</h3><p class="note">{{ one.note }}</p></figcaption>
{% if one.key %}<ul class="key">{% for kind, name in one.key %}<li class="{{ kind }}">{{ name }}\
</li>{% endfor %}</ul>{% endif %}
{{ one.chart }}
{% if one.marks %}<ol class="next">{% for what, when in one.told %}<li>{{ what }} \
<span class="soft">{{ when }}</span></li>{% endfor %}</ol>{% endif %}
</figure>
{% endfor %}
</section>
{% endif %}
<section id="typed" aria-labelledby="typed-title">
<h2 id="typed-title">What was typed</h2>
{% for command, came, took in typed %}
<pre>$ {{ command }}</pre>
<p class="note"><bdi>{{ came }}</bdi>{% if took %} ({{ took }}){% endif %}</p>
{% endfor %}
</section>
<section id="made" aria-labelledby="made-title">
<h2 id="made-title">How it was made</h2>
<dl class="facts">{% for name, value in facts %}<dt>{{ name }}</dt><dd><bdi>{{ value }}</bdi></dd>\
{% endfor %}</dl>
</section>
</main>
</div>
</body>
</html>
"""
