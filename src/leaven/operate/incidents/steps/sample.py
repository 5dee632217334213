"""Sample: people label again what was answered, the doubtful and some by chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from shlex import quote
from typing import Any, ClassVar

import numpy as np

from leaven.core.errors import DataError, SettingError
from leaven.core.wording import count, many
from leaven.evaluate.run import Run
from leaven.operate.incidents.drawing import answered
from leaven.operate.incidents.step import STEPS, Done, Plan, Scene, Step
from leaven.operate.incidents.suspect import SUSPECT, Suspect, suspect_of
from leaven.operate.incidents.times import since_of

_UNSURE = "The model was not sure of it, and answers were wrong"
_MOST = 10_000


@STEPS.register("sample")
class Sample(Step):
    """Into the queue of the run's data, under a batch of the incident's own.

    Production keeps no records, only the hash of their content. So those are asked about that are
    at hand: in the run's own data, or in `data`.
    """

    title = "Sample and re-label"
    does = (
        "Puts records that the suspected run answered into the review queue: half of them those it "
        "was least sure of, half by chance."
    )
    rank = 40
    takes: ClassVar[Mapping[str, str]] = {
        "count": "how many records; 50",
        "data": "a file of what was answered; the run's own data",
        "run": SUSPECT,
        "queue": "the queue; that of the run's data",
    }

    def plan(self, scene: Scene) -> Plan:
        """Which records, and why these."""
        wanted = scene.settings.get("count", 50)
        if isinstance(wanted, bool) or not isinstance(wanted, int) or not 1 <= wanted <= _MOST:
            raise SettingError("count", f"a whole number from 1 to {_MOST}", wanted)
        suspect = suspect_of(scene)
        queue = str(scene.settings.get("queue") or suspect.queue)
        data = suspect.data(scene.settings.get("data"))
        asks, of = _chosen(scene, suspect, data, queue, wanted)
        folder = str(suspect.run.folder.resolve())
        chosen = {"asks": asks, "queue": queue, "run": folder, "data": data}
        number = many(len(asks), "record", "records")
        says = f"Puts {number} into the queue '{queue}', drawn from {of}."
        return Plan((says, f"People then answer them: {_review(scene, chosen)}"), chosen)

    def act(self, scene: Scene, chosen: Mapping[str, Any]) -> Done:
        """Ask about what was chosen; the queue takes none twice."""
        from leaven.label.queue import Queue
        from leaven.operate.loop.asking import put_chosen

        made = Run.load(chosen["run"])
        modality = made.story["dataset"]["modality"]
        Queue.made(scene.store, chosen["queue"], classes=made.classes, modality=modality)
        added = put_chosen(scene.store, chosen, chosen["data"], batch=scene.mark, person=scene.by)
        said = many(added, "record waits", "records wait")
        review = _review(scene, chosen)
        result = {"added": added, "queue": chosen["queue"], "review": review}
        return Done(f"{said} in the queue '{chosen['queue']}'. Answer: {review}", result)


def _chosen(
    scene: Scene, suspect: Suspect, data: str | None, queue: str, wanted: int
) -> tuple[list[dict[str, Any]], str]:
    """The questions as plain values, without the records; and in words what they were drawn from.

    Raises DataError where no record is at hand.
    """
    from leaven.label.asking.seen import Seen
    from leaven.label.asking.strategy import EXPLORES
    from leaven.label.queue import Queue, queue_names
    from leaven.label.results import open_priorities, standing, waiting

    run = suspect.run
    dataset = run.records(data)
    seen, probabilities = Seen.by(run, dataset)
    known, top = set[str](), 0.0
    if queue in queue_names(scene.store):
        opened = Queue(scene.store, queue)
        known = {one.record for one in standing(opened)} | set(waiting(opened))
        top = max(open_priorities(opened), default=0.0)
    free = np.flatnonzero(seen.open(sorted(known)))
    since, now = since_of(scene.store, scene.incident), scene.clock()
    digests = [suspect.digest] if suspect.digest else []
    heard = answered(scene.store, scene.service, digests, since, now)
    contents = seen.dataset.content[free]
    # Of equal records one is enough.
    free = free[np.sort(np.unique(contents, return_index=True)[1])]
    met = free[np.isin(seen.dataset.content[free], sorted(heard))]
    enough = len(met) >= wanted
    of = f"{many(len(met), 'record', 'records')} at hand that it answered"
    if not enough:
        of = (
            f"{many(len(free), 'record', 'records')} of its data without a label: of "
            f"{count(len(heard))} that it answered {count(len(met))} are at hand"
        )
    sure = probabilities.max(1)
    rows = _half_and_half(met if enough else free, set(met.tolist()), sure, wanted, scene)
    if not rows:
        raise DataError(
            f"No record of '{dataset.name}' is left to ask about. Name what was answered: "
            "--set data=FILE."
        )
    asks = [
        seen.ask(
            row, probabilities[row], EXPLORES if by_chance else _UNSURE,
            top + len(rows) - i, wanted=1,
            origin={"strategy": scene.mark, "score": None, "by_chance": by_chance},
        )
        for i, (row, by_chance) in enumerate(rows)
    ]  # fmt: skip
    return [asdict(replace(one, shown={})) for one in asks], of


def _half_and_half(
    rows: Any, answered: set[int], sure: Any, wanted: int, scene: Scene
) -> list[tuple[int, bool]]:
    """So many of these rows: half of them by chance, which are marked, and of the others those of
    which the model is least sure, what it answered first. The first draw is of all rows, so that it
    speaks for all."""
    drawn = np.random.default_rng(scene.incident.number).permutation(rows)[: wanted // 2].tolist()
    rest = [row for row in rows.tolist() if row not in set(drawn)]
    doubtful = sorted(rest, key=lambda row: (row not in answered, sure[row], row))
    chosen = [(row, False) for row in doubtful[: wanted - len(drawn)]]
    return chosen + [(row, True) for row in drawn]


def _review(scene: Scene, chosen: Mapping[str, Any]) -> str:
    said = f"leaven review {quote(str(chosen['run']))} --store {quote(scene.shown)}"
    return f"{said} --queue {quote(str(chosen['queue']))}"
