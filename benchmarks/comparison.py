"""The page that compares all methods: the finding, how it was measured, what it does not show."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.gains import Gains, read_gains
from benchmarks.gains_plot import draw
from benchmarks.page import provenance, put, table
from benchmarks.summary import Place

__all__ = ["markdown", "write_page"]

_HEAD = "# The methods compared\n"
_READING = (
    "Accuracy on the test records in %, mean ± standard deviation over seeds; the gain over the "
    "supervised baseline in points, with its 95 % interval over seeds (paired, Student's t). A "
    "name leads to the method."
)
_SHOWS_NOT = """What it does not show: a few hundred steps of small networks on small sets are not
the papers' hundred thousands of steps of large ones, and methods that start slowly or lean on rich
views (of photographs, of sentences) are at a disadvantage. Settings are each method's defaults,
the same for all sets. Intervals are over seeds alone, wide where there are few, and not
corrected for the number of methods. Which model would ship is not asked here; that is
[the other benchmark](benchmarks.md)."""


def write_page(results: Path, page: Path, steps: int) -> str:
    """Write page and plot; returns the finding. ValueError where there are no results."""
    found = read_gains(results, steps)
    if found is None or not found.good:
        raise ValueError(f"{results} holds no fit of {steps} steps that went well.")
    plot = page.parent / "images" / "methods-gains.svg"
    plot.parent.mkdir(parents=True, exist_ok=True)
    plot.write_text(draw(found), encoding="utf-8")
    before = page.read_text(encoding="utf-8") if page.exists() else _HEAD
    page.write_text(put(before, "methods", markdown(found)), encoding="utf-8")
    return f"{found.headline()}.\nWritten: {page} and {plot}"


def markdown(found: Gains) -> str:
    """The whole part between the marks."""
    parts = [
        f"**{found.headline()}.**",
        _measured(found),
        " ".join(_SHOWS_NOT.split()),
        f"![{found.headline()}](images/methods-gains.svg)",
        _READING,
    ]
    for place in found.places:
        parts += [f"## {place.set}, {place.labels} labels a class", _places(found, place)]
    parts += ["## How it was made", _made(found)]
    if found.failed:
        parts += ["## What failed", _failures(found)]
    return "\n\n".join(parts)


def _measured(found: Gains) -> str:
    """In prose: what was fitted on what, and the command."""
    sizes = {row["set"]: row["n"] for row in found.good}
    encoders = dict.fromkeys(row["encoder"] for row in found.good)
    sets = "; ".join(
        f"{name} ({n['classes']} classes, {n['test']:,} test records)" for name, n in sizes.items()
    )
    labels = " and ".join(str(n) for n in sorted({place.labels for place in found.places}))
    settings = found.rows[0]["settings"]
    seeds = f"{len(found.seeds)} seed{'' if len(found.seeds) == 1 else 's'}"
    cpus = ", ".join(dict.fromkeys(row["machine"]["cpu"] for row in found.rows))
    return (
        f"Measured on {sets}: {labels} labels a class drawn by {seeds}, the rest of at most "
        f"{settings['most_records']:,} training records unlabelled, pictures of at most "
        f"{settings['side']} × {settings['side']} pixels, {found.steps} steps for each method that "
        f"takes steps, one thread of {cpus}. Every method gets the same draws and the modality's "
        f"own encoder ({', '.join(encoders)}); it is fitted once on all training records, and the "
        "averaged network of the last step is scored: nothing is chosen by the test records. CPU "
        "seconds are of the fit alone, without reading the records and without preparing the "
        "encoder, which are the same for all. `python -m benchmarks.methods` repeats it; the whole "
        "command stands [below](#how-it-was-made)."
    )


def _places(found: Gains, place: Place) -> str:
    """A line a method: its family, accuracy, gain and cost."""
    lines = []
    for name in found.methods:
        method, measured = found.known[name], found.at(name, place)
        family = re.sub(r"[^\w\- ]", "", method.family.lower()).replace(" ", "-")
        cells = [f"[{name}](methods/{family}.md#{name})", method.family]
        if measured is None:
            lines.append([*cells, "–", "–", "–"])
            continue
        fewer = len(found.seeds) != measured.accuracy.n
        short = f" (n {measured.accuracy.n})" if fewer else ""
        gain = "baseline" if method.baseline == name else str(measured.gain or "–")
        lines.append([*cells, f"{measured.accuracy}{short}", gain, f"{measured.cpu_seconds:.1f}"])
    return table(["method", "family", "accuracy", "gain", "CPU seconds"], lines, 2)


def _made(found: Gains) -> str:
    """Hardware, commit, versions, and the command that repeats it."""
    facts = provenance(found.rows)
    facts["Seeds"] = ", ".join(map(str, found.seeds))
    facts["Fits"] = f"{len(found.good)}, and {len(found.failed)} that failed"
    lines = [f"- {name}: {fact}." for name, fact in facts.items()]
    options = {
        "sets": ",".join(dict.fromkeys(place.set for place in found.places)),
        "labels": ",".join(map(str, sorted({place.labels for place in found.places}))),
        "seeds": ",".join(map(str, found.seeds)),
        "steps": str(found.steps),
        "jobs": str(found.rows[0]["settings"]["jobs"]),
    }
    said = " \\\n  ".join(f"--{name} {value}" for name, value in options.items())
    command = f"python -m benchmarks.methods --data DATA \\\n  {said}"
    return "\n".join([*lines, "", "```sh", command, "python -m benchmarks.methods --page", "```"])


def _failures(found: Gains) -> str:
    return "\n".join(
        f"- {row['set']}, {row['labels']} labels a class, seed {row['seed']}, {row['method']}: "
        f"{row['error']}"
        for row in found.failed
    )
