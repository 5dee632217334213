"""To do a step: what it would change, its beginning and end as events, and nothing twice."""

from __future__ import annotations

from dataclasses import replace

from leaven.core.errors import LeavenError, RunError, StoreError, UnknownNameError
from leaven.operate.incidents.incident import BEGUN, DONE, FAILED, Act, Incidents
from leaven.operate.incidents.step import STEPS, Plan, Scene

__all__ = ["do", "outlook"]


def outlook(scene: Scene, name: str) -> Plan:
    """What the step would do now; nothing is done.

    Raises UnknownNameError for a step or a setting that there is not, and LeavenError where the
    step cannot be done.
    """
    step = STEPS[name]
    for setting in scene.settings:
        if setting not in step.takes and not step.open:
            raise UnknownNameError(f"setting of {name}", setting, step.takes)
    there = scene.incident.act(name, scene.settings)
    if there is not None and there.state == DONE:
        return Plan((_again(there),), there.plan, _again(there))
    if there is not None and there.state == BEGUN:
        return Plan((f"Goes on with what {there.by} has begun.",), there.plan)
    return step.plan(scene)


def do(scene: Scene, name: str) -> tuple[Act, bool]:
    """Do a step, or go on with it; the act, and whether it was done now.

    What fails is kept as failed, with the reason, and raised; it may be begun anew. A store that
    cannot be written leaves it begun, and so does a kill, and another process that makes the same
    run: whoever calls again goes on.
    """
    incidents = Incidents(scene.store, clock=scene.clock)
    number = scene.incident.number
    there = scene.incident.act(name, scene.settings)
    if there is not None and there.state == DONE:
        return there, False
    plan, step = outlook(scene, name), STEPS[name]
    act = incidents.begin(number, name, scene.settings, plan.chosen, scene.by)
    if act.state == DONE:
        return act, False
    try:
        if plan.already:
            says, result = plan.already, {}
        else:
            done = step.act(replace(scene, incident=incidents.get(number)), act.plan)
            says, result = done.says, dict(done.result)
    except StoreError:
        raise
    except LeavenError as wrong:
        if not (isinstance(wrong, RunError) and isinstance(wrong.__cause__, BlockingIOError)):
            incidents.end(number, act, FAILED, by=scene.by, reason=str(wrong))
        raise
    ended = incidents.end(
        number, act, DONE, by=scene.by, reason=says, result=result, undoes=step.undoes
    )
    return ended, True


def _again(act: Act) -> str:
    return f"{act.by_end} has done it: {act.reason}"
