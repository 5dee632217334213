"""The form of a check, and how a list of them is run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["BrokenContract", "Check", "require", "run_all"]


class BrokenContract(AssertionError):
    """Something registered does not keep what all others keep; the message says what."""


@dataclass(frozen=True)
class Check:
    """One row of a list: `run` raises BrokenContract.

    It is asked only where `applies`; `otherwise` is the reason where it does not.
    """

    name: str
    run: Callable[[Any], None]
    applies: Callable[[Any], bool] = lambda _: True
    otherwise: str = ""


def require(holds: bool, otherwise: str) -> None:
    """Raise BrokenContract with the sentence `otherwise`, unless it holds."""
    if not holds:
        raise BrokenContract(otherwise)


def run_all(checks: Sequence[Check], subject: Any, name: str) -> list[str]:
    """Run the checks that apply; returns their names. The first that fails says whose it is."""
    passed = []
    for check in checks:
        if not check.applies(subject):
            continue
        try:
            check.run(subject)
        except BrokenContract as broken:
            raise BrokenContract(f"{name!r} fails '{check.name}': {broken}.") from None
        passed.append(check.name)
    return passed
