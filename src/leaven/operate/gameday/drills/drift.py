"""Records come in that are others than those the model was made for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from leaven.core.wording import percent
from leaven.operate.gameday.drill import DRILLS, GOOD, Drill, Promise
from leaven.operate.gameday.expected import NO_FAILURE, see_failures
from leaven.operate.gameday.local import DETECTED, INJECTED, Local
from leaven.operate.gameday.processes import Process
from leaven.operate.gameday.traffic import Record, Traffic
from leaven.operate.gameday.world import World

_CLEAN, _MOST, _TOGETHER = 400, 1500, 50  # records
_SHARE = 3  # one numeric column in so many is changed
_BY = 2.0  # standard deviations
_WRITTEN = 15.0  # seconds in which a server writes what it has counted
_FALL = 0.1  # of the accuracy, from which on truth is to show it
_CONFIG = """
[alerts]
grace = 0

[[slo]]
name = "drift"
indicator = "drift"

[[slo]]
name = "audited-accuracy"
indicator = "audited-accuracy"

[[route]]
name = "file"
kind = "log"
file = "alerts.jsonl"

[loop]
data = {data}
service = {service}
runs = "runs"
fit = {{ label = {label} }}
trigger = {{ alarms = "drift" }}
"""


def _play(local: Local) -> None:
    local.release(GOOD)
    world, store = local.world, local.database.address
    told = {"data": str(world.tables[GOOD]), "service": world.name, "label": world.label}
    config = _CONFIG.format(**{name: json.dumps(value) for name, value in told.items()})
    (local.folder / "leaven.toml").write_text(config, "utf-8")
    server, traffic = local.serve("--explore", "1")
    looks = local.start("slo", "check", world.name, "--store", store, "--every", "1", "--json")
    traffic.send(_CLEAN, truth=True)
    local.until(lambda: _n(looks, "drift") >= _CLEAN * 3 // 4, _WRITTEN + 30)
    calm = _looks(looks)
    early = sorted({one["slo"] for look in calm for one in look["alerts"]})
    local.saw("calm", len(early), _n(looks, "drift"), "records", note=", ".join(early))
    change, columns = _change(world, local.seed)
    changed = [change(one) for one in world.records]
    can_be_read = [said is not None for said in world.said(GOOD, changed)]
    traffic.records = [
        new if is_read else old
        for new, old, is_read in zip(changed, world.records, can_be_read, strict=True)
    ]
    local.mark(INJECTED, f"The records change: {', '.join(columns)}.")
    before = len(traffic.answers)
    sent = _until_open(local, looks, traffic)
    if sent is not None:
        local.mark(DETECTED, f"The alert 'drift' is open, {sent} changed records later.")
    local.saw("alert", sent, len(traffic.answers) - before, "changed records",
              evidence=_sentences(looks))  # fmt: skip
    _see_truth(local, looks, traffic, before)
    looks.end()
    _see_people(local, columns)
    plan = local.leaven("loop", "run", "--dry-run", "--store", store, "--json").json()
    fires = [one["says"] for one in plan["triggers"] if one["fires"]]
    local.saw("loop", int(not fires), 1, "look of the loop", evidence=[*fires, plan["says"]])
    see_failures(local, traffic.answers)
    server.end()


def _until_open(local: Local, looks: Process, traffic: Traffic) -> int | None:
    """The changed records that were sent until the alert was open; None where it was not."""
    for sent in range(_TOGETHER, _MOST + 1, _TOGETHER):
        traffic.send(_TOGETHER, truth=True)
        if local.until(lambda: _is_open(looks, "drift"), 1.0) is not None:
            return sent
    late = local.until(lambda: _is_open(looks, "drift"), _WRITTEN)
    return None if late is None else _MOST


def _see_truth(local: Local, looks: Process, traffic: Traffic, before: int) -> None:
    """Whether truth shows it, where the answers became wrong."""
    truths = local.world.truths

    def right(part: slice) -> float:
        heard = [one.label == truths[one.row] for one in traffic.answers[part]]
        return float(np.mean(heard)) if heard else 0.0

    was, now = right(slice(before)), right(slice(before, None))
    note = f"{percent(was)} of the answers were right before, {percent(now)} after."
    if was - now < _FALL:
        local.saw("truth", None, 0, note=f"{note} That is no fall that truth must show.")
        return
    opened = local.until(lambda: _is_open(looks, "audited-accuracy"), _WRITTEN)
    missing, told = int(opened is None), len(traffic.answers) - before
    local.saw("truth", missing, told, "truths", note=note, evidence=_sentences(looks))


def _see_people(local: Local, columns: Sequence[str]) -> None:
    """Whether people were told, once, and whether health names what changed."""
    log = local.folder / "alerts.jsonl"
    lines = log.read_text("utf-8").splitlines() if log.exists() else []
    told = [json.loads(line) for line in lines]
    subjects = [str(one["subject"]) for one in told]
    news = [one for each in told for one in each["news"] if one["slo"] == "drift"]
    opened = [one for one in news if one["event"] == "opened"]
    local.saw("told", abs(len(opened) - 1), 1, "alert", evidence=subjects)
    health = local.leaven("health", "--store", local.database.address, "--json").json()
    (said,) = [one["sentence"] for one in health["signals"] if one["name"] == "records"]
    named = [name for name in columns if name in said]
    local.saw("named", int(not named), 1, "answer of leaven health", evidence=[said])


def _looks(looks: Process) -> list[dict[str, Any]]:
    return [json.loads(line) for _, line in looks.lines if line.startswith("{")]


def _n(looks: Process, slo: str) -> int:
    """How many records the last look knew of."""
    last = (_looks(looks) or [{"findings": []}])[-1]
    return max((int(one["n"] or 0) for one in last["findings"] if one["slo"] == slo), default=0)


def _is_open(looks: Process, slo: str) -> bool:
    last = (_looks(looks) or [{"alerts": []}])[-1]
    return any(one["slo"] == slo for one in last["alerts"])


def _sentences(looks: Process) -> list[str]:
    last = (_looks(looks) or [{"alerts": []}])[-1]
    return [one["finding"]["sentence"] for one in last["alerts"]]


def _change(world: World, seed: int) -> tuple[Callable[[Record], Record], list[str]]:
    """What becomes of a record, and which columns it changes: numbers go up, texts lose their end.

    Of records without numbers or texts one column always has its most frequent value.
    """
    rng = np.random.default_rng(seed)
    first: Mapping[str, Any] = world.records[0]
    numbers = [name for name, value in first.items()
               if isinstance(value, int | float) and not isinstance(value, bool)]  # fmt: skip
    if world.modality == "text":
        (column,) = first
        return lambda record: {column: _beginning(str(record[column]))}, [column]
    if not numbers:
        column = min(first)
        values = [str(one[column]) for one in world.records]
        usual = max(set(values), key=values.count)
        return lambda record: {**record, column: usual}, [column]
    chosen = rng.choice(sorted(numbers), max(1, len(numbers) // _SHARE), replace=False).tolist()
    by = {name: _BY * float(np.std([one[name] or 0.0 for one in world.records]))
          for name in chosen}  # fmt: skip

    def changed(record: Record) -> Record:
        return {**record, **{name: (record[name] or 0.0) + by[name] for name in chosen}}

    return changed, sorted(chosen)


def _beginning(text: str) -> str:
    words = text.split()
    return " ".join(words[: max(1, len(words) // 3)])


DRILLS.add(
    "drift",
    Drill(
        "drift",
        "A third of the numbers go up by two standard deviations (texts lose their end).",
        (
            Promise("calm", "No alert opens while nothing has changed.", 0, "alerts", "drift.md"),
            Promise("alert", f"An alert 'drift' is open within {_MOST} changed records.", _MOST,
                    "changed records", "objectives.md"),
            Promise("truth", "Where the answers become wrong, truth shows it: an alert "
                    "'audited-accuracy' is open.", 0, "missing", "objectives.md"),
            Promise("told", "People are told of it, once.", 0, "messages missing or too many",
                    "objectives.md"),
            Promise("named", "leaven health names a column that has changed.", 0,
                    "answers without", "health.md"),
            Promise("loop", "The loop would begin a cycle because of it.", 0, "that would not",
                    "loop.md"),
            NO_FAILURE,
        ),
        _play,
    ),
)  # fmt: skip
