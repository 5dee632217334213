"""The guard of a canary: reads what was answered, and decides as a person would, by name `guard`.

Any number of guards may look at once. Each decides on the state that it has read, and of two
decisions the later is refused (`Releases`), so none is made twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Select, and_, or_, select

from leaven.core.errors import DataError, UnknownNameError
from leaven.operate.canary.decision import HOLD, PROMOTE, RAMP, ROLL_BACK, Decision, decide
from leaven.operate.canary.policy import Policy
from leaven.operate.canary.signals import Signal, judged
from leaven.operate.canary.tally import Tally
from leaven.operate.registry import Registry
from leaven.operate.releases import Event, Named, Releases, State, folded
from leaven.store.canary_tables import canary_looks, failures
from leaven.store.prediction_tables import feedback, predictions
from leaven.store.store import Store
from leaven.store.upsert import put

__all__ = ["GUARD", "MIRROR", "Guard", "Look", "looks"]

#: Who decides.
GUARD = "guard"
#: The place of what a model said of a request that the other one answered.
MIRROR = "mirror"
_ROWS = 20_000  # read at once


@dataclass(frozen=True)
class Look:
    """What the guard saw of a canary, and what follows.

    `number` is that of the event that began the step, at `since`; the canary began `begun`, both
    in seconds since 1970. `answered` are keys that the canary was asked by in this step.
    """

    service: str
    number: int
    at: float
    canary: Named
    live: Named
    begun: float
    since: float
    answered: int
    signals: tuple[Signal, ...]
    decision: Decision
    policy: Policy

    def told(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self) | {"policy": self.policy.model_dump(mode="json")}


class Guard:
    """Judges the canary of one service.

    Parameters
    ----------
    policy : by default that of the last look that was kept, else the default one.
    clock : seconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        service: str,
        policy: Policy | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store, self.service, self._clock = store, service, clock
        self.policy = policy or _kept_policy(store, service)
        self._releases = Releases(store, service, clock=clock)
        self._tally = Tally(self.policy.latency, self.policy.quick)
        self._stood: tuple[int, int] | None = None
        self._read = {"predictions": 0, "failures": 0, "pairs": 0}
        self._truths = 0
        self._signals: tuple[Signal, ...] = ()

    def look(self, *, act: bool = True) -> Look | None:
        """Look once, and do what follows; None where there is no canary.

        Without `act` nothing is decided and nothing kept. A decision that came too late, because
        somebody else was quicker, is told as `hold` with the reason.
        """
        history = self._releases.history()
        state = folded(self.service, history)
        if state.canary is None or state.live is None:
            self._stood = None
            return None
        began, step = _began(self.service, history, state)
        if self._catch_up(began, step, state.canary, state.live):
            expected = _expected(self.store, self.policy, state.canary, state.live)
            self._signals = judged(self._tally.evidence(), expected)
        at, signals = self._clock(), self._signals
        answered = self._tally.answered
        decision = decide(
            signals, self.policy, share=state.canary.share, answered=answered, seconds=at - step.at
        )
        found = Look(
            self.service, step.number, at, state.canary, state.live, began.at, step.at, answered,
            signals, decision, self.policy,
        )  # fmt: skip
        return self._acted(found, state) if act else found

    def _acted(self, look: Look, state: State) -> Look:
        decision = look.decision
        told: dict[str, Any] = {"by": GUARD, "seen": state, "reason": decision.reason}
        try:
            if decision.action == ROLL_BACK:
                self._releases.rollback(**told)
            elif decision.action == RAMP:
                self._releases.widen(decision.share, **told)
            elif decision.action == PROMOTE:
                self._releases.promote(**told)
        except DataError as late:
            return replace(look, decision=Decision(HOLD, look.canary.share, str(late)))
        self._keep(look)
        return look

    def _keep(self, look: Look) -> None:
        row = {
            "at": look.at, "run": look.canary.run, "action": look.decision.action,
            "reason": look.decision.reason, "told": look.told(),
        }  # fmt: skip
        with self.store.write() as connection:
            put(connection, canary_looks, {"service": self.service, "number": look.number}, row)

    def _catch_up(self, began: Event, step: Event, canary: Named, live: Named) -> bool:
        """Read what is new since the last look; whether anything is."""
        stood, before = (began.number, step.number), (dict(self._read), self._truths)
        if self._stood is None or self._stood[0] != began.number:
            self._tally = Tally(self.policy.latency, self.policy.quick)
            self._read = dict.fromkeys(self._read, 0)
        elif self._stood[1] != step.number:
            self._tally.new_step()
        is_new, self._stood = self._stood != stood, stood
        heard = list(self._new("failures", _failed(self.service, step.at, canary, live)))
        heard += self._new("predictions", _answers(self.service, step.at, canary, live))
        self._tally.add_answers(sorted(heard, key=lambda row: float(row["at"])))
        self._tally.add_pairs(self._new("pairs", _pairs(self.service, began.at, canary, live)))
        with self.store.read() as connection:
            query = _truths(self.service, began.at, canary, live)
            truths = [_both(dict(row)) for row in connection.execute(query).mappings()]
        self._tally.set_truths(truths)
        self._truths = len(truths)
        return is_new or before != (self._read, self._truths)

    def _new(self, kind: str, query: Select[Any]) -> Iterator[Mapping[str, Any]]:
        """Rows that were not read yet, by their ids."""
        while True:
            column = query.selected_columns.id
            with self.store.read() as connection:
                page = query.where(column > self._read[kind]).order_by(column).limit(_ROWS)
                rows = [dict(row) for row in connection.execute(page).mappings()]
            if rows:
                self._read[kind] = rows[-1]["id"]
            yield from rows
            if len(rows) < _ROWS:
                return


def looks(store: Store, service: str) -> list[dict[str, Any]]:
    """The last look of each step of each canary, in order: `number`, `at`, `action` and so on."""
    query = select(canary_looks).where(canary_looks.c.service == service)
    with store.read() as connection:
        rows = connection.execute(query.order_by(canary_looks.c.number)).mappings()
        return [{name: row[name] for name in _KEPT} for row in rows]


_KEPT = ("number", "at", "run", "action", "reason", "told")


def _kept_policy(store: Store, service: str) -> Policy:
    kept = looks(store, service)
    return Policy.build(kept[-1]["told"]["policy"]) if kept else Policy()


def _began(service: str, history: list[Event], state: State) -> tuple[Event, Event]:
    """The events with which this canary came beside this live run, and its step began."""
    stood = (state.canary, state.live)
    began = step = len(history) - 1
    for end in range(len(history) - 1, 0, -1):
        before = folded(service, history[:end])
        if _model(before.canary) != _model(stood[0]) or _model(before.live) != _model(stood[1]):
            break
        began = end - 1
        if step == end and before.canary == stood[0]:
            step = end - 1
    return history[began], history[step]


def _expected(store: Store, policy: Policy, canary: Named, live: Named) -> Policy:
    """The policy for these two, by the accuracies with which they were registered."""
    found = []
    for named in (canary, live):
        with suppress(UnknownNameError, LookupError, TypeError):
            told = Registry(store).get(named.run, named.digest).told
            found.append(float(told["metrics"]["accuracy"]["value"]))
    return policy.expecting(*found) if len(found) == 2 else policy


def _model(named: Named | None) -> tuple[str, str] | None:
    return None if named is None else (named.run, named.digest)


def _by_arm(table: Any, canary: Named, live: Named) -> Any:
    return or_(
        and_(table.c.place == "canary", table.c.digest == canary.digest),
        and_(table.c.place == "live", table.c.digest == live.digest),
    )


def _answers(service: str, since: float, canary: Named, live: Named) -> Select[Any]:
    names = ("id", "at", "place", "position", "request", "label", "probability", "seconds")
    return select(*(predictions.c[name] for name in names)).where(
        predictions.c.service == service, predictions.c.at >= since,
        predictions.c.position.is_not(None), _by_arm(predictions, canary, live),
    )  # fmt: skip


def _failed(service: str, since: float, canary: Named, live: Named) -> Select[Any]:
    names = ("id", "at", "place", "position", "request", "status", "seconds")
    return select(*(failures.c[name] for name in names)).where(
        failures.c.service == service, failures.c.at >= since,
        failures.c.position.is_not(None), _by_arm(failures, canary, live),
    )  # fmt: skip


def _pairs(service: str, since: float, canary: Named, live: Named) -> Select[Any]:
    names = ("id", "position", "request", "agrees")
    return select(*(predictions.c[name] for name in names)).where(
        predictions.c.service == service, predictions.c.at >= since,
        predictions.c.place == MIRROR, predictions.c.position.is_not(None),
        predictions.c.digest.in_((canary.digest, live.digest)),
    )  # fmt: skip


def _truths(service: str, since: float, canary: Named, live: Named) -> Select[Any]:
    """Truth, unless it was caused, of records that were explored and that both were asked."""
    heard, quiet = predictions.alias("heard"), predictions.alias("quiet")
    told = (
        heard.c.position, heard.c.place, feedback.c.label.label("truth"),
        heard.c.label.label("heard"), heard.c.probability.label("heard_sure"),
        quiet.c.label.label("quiet"), quiet.c.probability.label("quiet_sure"),
    )  # fmt: skip
    both = (canary.digest, live.digest)
    return (
        select(*told)
        .join(heard, and_(heard.c.name == feedback.c.prediction, heard.c.place != MIRROR))
        .join(quiet, and_(quiet.c.name == feedback.c.prediction, quiet.c.place == MIRROR))
        .where(
            feedback.c.service == service, feedback.c.at >= since, feedback.c.caused.is_(False),
            heard.c.explored.is_(True), heard.c.position.is_not(None),
            heard.c.place.in_(("canary", "live")),
            heard.c.digest.in_(both), quiet.c.digest.in_(both),
        )
        .order_by(feedback.c.id)
    )  # fmt: skip


def _both(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the canary and what the live run said, whichever was heard."""
    other = "live" if row["place"] == "canary" else "canary"
    return {
        "position": row["position"], "truth": row["truth"],
        row["place"]: row["heard"], f"{row['place']}_sure": row["heard_sure"],
        other: row["quiet"], f"{other}_sure": row["quiet_sure"],
    }  # fmt: skip
