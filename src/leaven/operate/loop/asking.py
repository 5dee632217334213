"""The work that ends a cycle: which records people are asked about, each once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from leaven.core.errors import DataError
from leaven.core.wording import decimal, many
from leaven.operate.loop.bench import Bench, Done
from leaven.operate.loop.triggers import spent_on_labels
from leaven.store.store import Store

__all__ = ["ask", "put_chosen"]


def ask(bench: Bench) -> Done:
    """Choose the records, keep the choice, and put them into the queue under this cycle's batch.

    The choice is kept before anything is asked: after a kill the same records are asked about, of
    which the queue takes none twice, whoever asks.
    """
    chosen = bench.standing.told("asking", "chosen")
    if chosen is None:
        found = _chosen(bench)
        if isinstance(found, Done):
            return found
        chosen = found
        said = many(len(chosen["asks"]), "record was", "records were")
        bench.note(f"{said} chosen.", {"chosen": chosen})
    added = put_chosen(bench.store, chosen, bench.policy.data, batch=_batch(bench), person="loop")
    cost = added * bench.policy.ask.price * bench.policy.ask.wanted
    said = f"{many(added, 'question waits', 'questions wait')} in the queue '{chosen['queue']}'"
    if cost:
        said += f", which cost {decimal(cost, 2)}"
    return Done("asked", f"{said}.", {"added": added, "cost": cost})


def _chosen(bench: Bench) -> dict[str, Any] | Done:
    """The questions as plain values, without the records; Done where there are none."""
    from leaven.evaluate.run import Run
    from leaven.label.asking.querying import query
    from leaven.label.queue import Queue
    from leaven.label.results import standing, waiting
    from leaven.operate.registry import Registry
    from leaven.operate.releases import Releases

    wanted = bench.policy.ask
    count = _affordable(bench)
    if not count:
        spent = "The money for the labels of 30 days is spent."
        return Done("nothing", spent if wanted.count else "No questions are asked for.")
    live = Releases(bench.store, bench.service).state().live
    folder = bench.run
    if live is not None:
        folder = Registry(bench.store).get(live.run, live.digest).folder
    try:
        run = Run.load(folder)
        dataset = run.records(bench.policy.data)
        queue = Queue.made(
            bench.store, bench.policy.asks_in, classes=run.classes, modality=dataset.modality
        )
        known = sorted({one.record for one in standing(queue)} | set(waiting(queue)))
        found = query(
            run, dataset, count, strategy=wanted.strategy, explore=wanted.explore,
            wanted=wanted.wanted, waiting=known, rehearsed=False, seed=bench.standing.cycle,
        )  # fmt: skip
    except DataError as none:
        return Done("nothing", str(none))
    asks = [asdict(one) | {"shown": {}} for one in found.asks]
    return {"asks": asks, "queue": queue.name, "run": str(folder)}


def put_chosen(
    store: Store, chosen: Mapping[str, Any], data: str | None, *, batch: str, person: str
) -> int:
    """Ask about what was chosen, as it is shown now; how many of them wait by this batch.

    `chosen` has the `asks` as plain values, the `queue`, and the `run` as which `data` are read.
    """
    from leaven.data.modality import MODALITIES
    from leaven.evaluate.run import Run
    from leaven.label.queue import Ask, Queue

    dataset = Run.load(chosen["run"]).records(data)
    modality = MODALITIES[dataset.modality]
    rows = {str(name): row for row, name in enumerate(dataset.ids)}
    asks = []
    for one in chosen["asks"]:
        row = rows.get(one["record"])
        # A record that has changed since is another one, and nobody chose it.
        if row is not None and str(dataset.content[row]) == one["content"]:
            shown = dict(modality.show(dataset, row))
            asks.append(Ask(**{**one, "shown": shown, "batch": batch}))
    Queue(store, chosen["queue"]).add(asks, person=person)
    return len(asks)


def _batch(bench: Bench) -> str:
    """A name that no other loop's cycle has, also of another service with the same data."""
    digest = hashlib.sha256(bench.service.encode()).hexdigest()[:8]
    return f"loop {digest} cycle {bench.standing.cycle}"


def _affordable(bench: Bench) -> int:
    wanted = bench.policy.ask
    each = wanted.price * wanted.wanted
    if wanted.money is None or not each:
        return wanted.count
    left = wanted.money - spent_on_labels(bench.history, bench.clock())
    return max(0, min(wanted.count, int(left / each + 1e-9)))
