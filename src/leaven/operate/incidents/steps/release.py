"""Release the mended run: as a canary beside the live run, or live where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from leaven.core.errors import DataError, SettingError
from leaven.core.wording import percent
from leaven.evaluate.run import Run
from leaven.operate.incidents.step import STEPS, Done, Plan, Scene, Step
from leaven.operate.releases import BETTER, State


@STEPS.register("release")
class Release(Step):
    """As `leaven release`; `leaven canary guard` then ramps it or takes it back."""

    title = "Release the mended run"
    does = "Lets the run that was retrained serve: as a canary of 10 % beside the live run."
    rank = 70
    takes: ClassVar[Mapping[str, str]] = {
        "run": "a run's folder; the one that retrain has made",
        "canary": "per cent of the requests; 10, and 100 for live at once",
        "override": "why it may serve, where it was not shown to be better than its baseline",
    }
    mends = True

    def plan(self, scene: Scene) -> Plan:
        """Which run, and what share of the requests it gets."""
        made = scene.incident.done("retrain")
        asked = scene.settings.get("run")
        if asked is None and made is None:
            raise DataError(
                "There is no mended run yet. Make one: leaven incident do "
                f"{scene.incident.number} retrain. Or name one: --set run=FOLDER."
            )
        folder = Path(str(asked)) if asked is not None else Path(made.result["run"])  # type: ignore[union-attr]
        run, name = Run.load(folder), str(Run.load(folder).story["run"]["id"])
        share, override = _share(scene.settings), str(scene.settings.get("override") or "")
        if run.verdict.outcome != BETTER and not override.strip():
            raise DataError(
                f"'{name}' was not shown to be better than its baseline "
                f"({run.verdict.outcome}): {run.verdict.sentence} Release it all the same: "
                '--set override="reason".'
            )
        state = scene.releases().state()
        chosen = {
            "run": str(folder.resolve()), "id": name, "share": share, "override": override,
            "number": state.number,
        }  # fmt: skip
        if place := _place(state, name):
            already = f"'{name}' is {place} of '{scene.service}' already."
            return Plan((already,), chosen, already)
        if state.canary is not None and share is not None:
            raise DataError(
                f"'{state.canary.run}' is the canary of '{scene.service}'. Take it back first: "
                f"leaven incident do {scene.incident.number} roll-back --set run={state.canary.run}"
            )
        if state.live is None or share is None:
            return Plan((f"Makes '{name}' live.",), chosen | {"share": None})
        rest = f"beside '{state.live.run}'. leaven canary guard then ramps it, or takes it back."
        return Plan((f"Gives '{name}' {percent(share, 0)} of the requests, {rest}",), chosen)

    def act(self, scene: Scene, chosen: Mapping[str, Any]) -> Done:
        """Register and release it, unless that is done."""
        from leaven.operate.export.served import attach
        from leaven.operate.health.reference import keep_reference
        from leaven.operate.registry import Registry

        releases, name = scene.releases(), chosen["id"]
        came = releases.history()[int(chosen["number"]) :]
        if not any(one.run == name and one.kind in ("canary", "live") for one in came):
            run = Run.load(chosen["run"])
            attach(run)  # before its files are counted, so that the manifest covers it
            keep_reference(run)
            found = Registry(scene.store, clock=scene.clock).add(run, person=scene.by)
            # As it was when it was decided: who was quicker is not overruled.
            seen = releases.state()
            if seen.number != chosen["number"]:
                raise DataError(
                    "The releases have changed since this was chosen. Look at leaven releases, "
                    "and do it again."
                )
            releases.release(
                found, by=scene.by, seen=seen, canary=chosen["share"], override=chosen["override"]
            )
        place = _place(releases.state(), name) or "no longer served"
        return Done(f"'{name}' is {place}.", {"run": chosen["run"], "id": name})


def _share(settings: Mapping[str, Any]) -> float | None:
    """The canary's share of the requests; None for live at once."""
    asked = settings.get("canary", 10)
    if isinstance(asked, bool) or not isinstance(asked, int | float) or not 0 < asked <= 100:
        raise SettingError("canary", "per cent of the requests, above 0 to 100", asked)
    return None if asked == 100 else asked / 100


def _place(state: State, run: str) -> str:
    """What a run is; "" where it does not serve."""
    if state.live is not None and state.live.run == run:
        return "live"
    if state.canary is not None and state.canary.run == run:
        return f"the canary, with {percent(state.canary.share, 0)} of the requests"
    return ""
