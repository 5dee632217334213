"""Roll back: the canary is taken away, or the live run for the one before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from leaven.core.errors import DataError
from leaven.operate.incidents.step import STEPS, Done, Plan, Scene, Step
from leaven.operate.releases import Event, State


@STEPS.register("roll-back")
class RollBack(Step):
    """As `leaven rollback`; decided on the state that was seen, so that nobody undoes another's."""

    title = "Roll back"
    does = "The canary is taken back, or where there is none the live run for the one before it."
    rank = 30
    takes: ClassVar[Mapping[str, str]] = {
        "run": "the run to take back; the canary, or else the live run, of when it was opened"
    }
    mends = True

    def plan(self, scene: Scene) -> Plan:
        """Which run goes, and which answers then."""
        state = scene.releases().state()
        run = str(scene.settings.get("run") or _suspect(scene))
        chosen = {"run": run, "number": state.number}
        if state.canary is not None and state.canary.run == run:
            left = state.live.run if state.live else "none"
            return Plan(
                (f"Takes the canary '{run}' back; '{left}' answers every request.",), chosen
            )
        if state.live is not None and state.live.run == run:
            if state.canary is not None:
                raise DataError(
                    f"'{state.canary.run}' is the canary beside '{run}'. Take that back first: "
                    f"--set run={state.canary.run}."
                )
            if not state.before:
                raise DataError(f"'{scene.service}' has no earlier run to go back to.")
            back = state.before[-1].run
            return Plan((f"Takes '{run}' back; '{back}' is live again.",), chosen)
        already = f"'{run}' serves no more: {_serving(state)}."
        return Plan((already,), chosen, already)

    def act(self, scene: Scene, chosen: Mapping[str, Any]) -> Done:
        """Take it back, unless that is done: by this act before it was killed, or by others."""
        releases, run = scene.releases(), str(chosen["run"])
        history = releases.history()
        if not _is_retired(history[int(chosen["number"]) :], run):
            seen = releases.state()
            serving = seen.canary or seen.live
            if serving is None or serving.run != run:
                raise DataError(
                    f"'{run}' was to be taken back, but {_serving(seen)}. Look at leaven releases."
                )
            reason = f"{scene.mark}: {scene.incident.reason}"[:1000]
            releases.rollback(by=scene.by, seen=seen, reason=reason)
        state = releases.state()
        live = state.live.run if state.live else None
        return Done(f"'{run}' was taken back: {_serving(state)}.", {"back": run, "live": live})


def _suspect(scene: Scene) -> str:
    then = scene.then()
    named = then.canary or then.live
    if named is None:
        raise DataError(f"Nothing was live in '{scene.service}', so there is nothing to go back.")
    return named.run


def _is_retired(history: list[Event], run: str) -> bool:
    """Whether these events took the run back."""
    return any(one.kind == "retired" and one.run == run for one in history)


def _serving(state: State) -> str:
    said = f"'{state.live.run}' is live" if state.live else "nothing is live"
    return said + (f", '{state.canary.run}' is its canary" if state.canary else "")
