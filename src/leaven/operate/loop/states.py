"""The states of a loop and what leads from one to another: one table, which is run and drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["REST", "STATES", "TRANSITIONS", "State", "Transition", "after"]

#: Where a loop begins, and where each cycle ends.
REST = "waiting"


@dataclass(frozen=True)
class State:
    """Where a loop can stand.

    `does` says what is done there, `waits` for whom or what it may have to wait; "" for nothing.
    `column` and `row` are its place in the picture.
    """

    name: str
    title: str
    does: str
    waits: str
    column: int
    row: int


@dataclass(frozen=True)
class Transition:
    """From `source` an `outcome` leads to `target`; `says` is it in words."""

    source: str
    outcome: str
    target: str
    says: str


STATES: Mapping[str, State] = {
    one.name: one
    for one in (
        State(REST, "Waiting", "Looks whether a trigger fires.", "a trigger", 0, 0),
        State("checking", "Checking", "Reads the data and the labels given since.", "", 1, 0),
        State("fitting", "Fitting", "Fits a run, or goes on with it.", "", 2, 0),
        State("judging", "Judging", "Holds the run against its baseline and the live run.", "",
              3, 0),
        State("approving", "Approving", "Asks a person whether the change may be released.",
              "a person: leaven loop approve, or leaven loop refuse", 3, 1),
        State("shadowing", "Shadow", "Lets the run be asked beside the live one, unheard.",
              "requests", 2, 1),
        State("ramping", "Canary", "Gives it a share of the requests, which the guard widens.",
              "the guard's evidence, or a person: leaven promote, or leaven rollback", 1, 1),
        State("asking", "Asking", "Puts the records that are worth most into the queue.", "",
              0, 1),
    )
}  # fmt: skip

TRANSITIONS: tuple[Transition, ...] = (
    Transition(REST, "triggered", "checking", "a trigger fires"),
    Transition("checking", "fine", "fitting", "there is something new"),
    Transition("checking", "unchanged", REST, "nothing is new"),
    Transition("checking", "broken", REST, "the data cannot be used"),
    Transition("fitting", "fitted", "judging", "the run is finished"),
    Transition("fitting", "failed", REST, "it cannot be fitted"),
    Transition("judging", "passed", "shadowing", "it may be released"),
    Transition("judging", "major", "approving", "the change is major"),
    Transition("judging", "held back", "asking", "it is not good enough"),
    Transition("approving", "approved", "shadowing", "a person approves"),
    Transition("approving", "refused", "asking", "a person refuses"),
    Transition("approving", "expired", "asking", "nobody decides"),
    Transition("shadowing", "passed", "ramping", "it answers as expected"),
    Transition("shadowing", "held back", "asking", "it differs too much, or is taken away"),
    Transition("ramping", "promoted", "asking", "it is live"),
    Transition("ramping", "rolled back", "asking", "it is taken back"),
    Transition("asking", "asked", REST, "questions wait in the queue"),
    Transition("asking", "nothing", REST, "nothing is to be asked"),
)

_AFTER = {(one.source, one.outcome): one for one in TRANSITIONS}


def after(state: str, outcome: str) -> Transition:
    """The transition of an outcome; KeyError for one that the table does not have.

    >>> after("judging", "major").target
    'approving'
    """
    return _AFTER[state, outcome]
