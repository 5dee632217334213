"""Retrain: a fit with the corrected labels, with stricter thresholds, without automatic labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from leaven.core.errors import DataError
from leaven.core.recipe import Recipe
from leaven.core.wording import many
from leaven.operate.incidents.incident import DONE
from leaven.operate.incidents.step import STEPS, Done, Plan, Scene, Step
from leaven.operate.incidents.stricter import stricter
from leaven.operate.incidents.suspect import SUSPECT, Suspect, suspect_of

#: How a run read its records, which the new one does as well.
_READING = ("label", "id", "group", "time", "audit", "labels")
_OURS = ("data", "run", "queue", "leave_out", "method", "budget", "seed")


@STEPS.register("retrain")
class Retrain(Step):
    """The fit is made here, and its run lies beside the suspected one.

    Not by a trigger of the loop: that fits by its policy, whose thresholds are those that have just
    failed, and it may be paused. And not among the evidence, which is frozen; `leaven release`, the
    queue and the lineage look beside the other runs.
    """

    title = "Retrain with stricter thresholds"
    does = (
        "Fits the suspected run's recipe anew: with the labels that people and production gave "
        "since, without rules and without what was revoked, and with a stricter acceptance of "
        "pseudo-labels. Other settings go to the recipe, as leaven fit --set."
    )
    rank = 60
    takes: ClassVar[Mapping[str, str]] = {
        "data": "the records; the run's own",
        "run": SUSPECT,
        "queue": "the queue whose labels teach; that of the run's data",
        "leave_out": "one more source, person or file, whose labels are left out",
        "method": "another method, as supervised, which takes no pseudo-labels at all",
        "budget": "another budget",
        "seed": "another seed",
    }
    open = True

    def plan(self, scene: Scene) -> Plan:
        """What is fitted, by which labels, and which threshold is raised."""
        suspect, given = suspect_of(scene), scene.settings
        data = suspect.data(given.get("data"))
        if data is None:
            raise DataError("The suspected run was made of no file. Name one: --set data=FILE.")
        story = suspect.run.story
        recipe = _recipe(story["recipe"])
        method = str(given.get("method") or recipe.method)
        changed = {name: one for name, one in given.items() if name not in _OURS}
        said = "The thresholds are as you set them."
        if "accept" not in changed:
            kept = recipe.objective if method == recipe.method else {}
            more, said = stricter(method, kept)
            changed |= more
        names = {"method", "budget", "seed"} & given.keys()
        out = suspect.run.folder.resolve().parent
        chosen = {
            "data": data, "run": str(suspect.run.folder.resolve()), "settings": changed,
            "asked": {name: given[name] for name in sorted(names)}, "out": str(out),
            "queue": str(given.get("queue") or suspect.queue),
            "left_out": sorted(_left_out(scene)),
            "file": f"labels-{int(scene.clock())}.parquet",
        }  # fmt: skip
        rules = story["run"].get("reading", {}).get("rules")
        rows = len(_labels(scene, suspect, chosen))
        labels = many(rows, "label that was", "labels that were")
        left = f" Left out: {', '.join(chosen['left_out'])}." if chosen["left_out"] else ""
        return Plan(
            (
                f"Fits '{method}' on '{data}' into '{out}', with {labels} given since.{left}",
                said,
                "The rules that taught the suspected run are left out." if rules
                else "The suspected run was taught by no rules.",
            ),
            chosen,
        )  # fmt: skip

    def act(self, scene: Scene, chosen: Mapping[str, Any]) -> Done:
        """Fit it, or go on with the fit that was begun: with the labels of its beginning."""
        import pyarrow as pa

        from leaven.evaluate.run import Run
        from leaven.operate.loop.making import keep_labels

        suspect = Suspect(Run.load(chosen["run"]), "")
        place = Path(scene.incident.folder) / chosen["file"]
        file: Path | None = place
        if not place.is_file():
            file = keep_labels(pa.Table.from_pylist(_labels(scene, suspect, chosen)), place)
        story = suspect.run.story
        reading = story["run"].get("reading", {})
        run = scene.fit(
            chosen["data"], answers=file, out=chosen["out"], progress=scene.listen,
            recipe=_recipe(story["recipe"], chosen["asked"]), settings=chosen["settings"],
            modality=story["dataset"]["modality"],
            **{name: reading.get(name) for name in _READING}, **chosen["asked"],
        )  # fmt: skip
        told = run.story
        result = {
            "run": str(run.folder.resolve()), "id": told["run"]["id"],
            "verdict": told["verdict"]["outcome"], "accuracy": told["metrics"].get("accuracy"),
            "settings": chosen["settings"], "labelled": told["dataset"]["labelled"],
        }  # fmt: skip
        return Done(f"'{told['run']['id']}': {told['verdict']['sentence']}", result)


def _recipe(told: Mapping[str, Any], asked: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of a run; for another method without the settings of this one's objective."""
    recipe = Recipe.build({name: told[name] for name in Recipe.model_fields if name in told})
    if (asked or {}).get("method", recipe.method) != recipe.method:
        return recipe.model_copy(update={"objective": {}})
    return recipe


def _left_out(scene: Scene) -> set[str]:
    """The sources that the incident revoked, and the one that was named."""
    found = {
        str(act.result.get("person") or act.result.get("file"))
        for act in scene.incident.acts
        if act.step == "revoke" and act.state == DONE
    }
    asked = scene.settings.get("leave_out")
    return found | ({str(asked)} if asked is not None else set())


def _labels(scene: Scene, suspect: Suspect, chosen: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The labels given since the data were: those that stand in the queue, those of production,
    and those of people that the suspected run was given and no queue has ever held."""
    from leaven.evaluate.lineage import FILE
    from leaven.evaluate.tables import read_parquet
    from leaven.label.queue import Queue, queue_names
    from leaven.label.results import tasks_of
    from leaven.operate.loop.making import labels_given

    left_out = set(chosen["left_out"])
    rows = labels_given(scene.store, scene.service, chosen["queue"]).to_pylist()
    rows = [row for row in rows if not left_out & set(str(row["people"]).split(", "))]
    known = {row["content"] for row in rows}
    if not (suspect.run.folder / FILE).is_file():
        return rows
    taught = read_parquet(suspect.run.folder / FILE).to_pylist()
    mine = [row for row in taught if row["origin"] == "person" and row["by"] not in left_out]
    held: set[str] = set()
    if chosen["queue"] in queue_names(scene.store):
        held = set(tasks_of(Queue(scene.store, chosen["queue"]), [row["id"] for row in mine]))
    return rows + [
        {"content": row["content"], "id": row["id"], "label": row["label"], "origin": "person",
         "people": row["by"]}
        for row in mine
        if row["id"] not in held and row["content"] not in known
    ]  # fmt: skip
