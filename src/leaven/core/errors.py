"""What can go wrong, as one tree.

    LeavenError
    ├── SettingError         a parameter's value cannot be used
    │   └── UnknownNameError     no such method, encoder, column …; suggests near ones
    ├── DataError            the records cannot be used
    ├── RunError             a run folder is busy, damaged or not a run
    ├── CapError             what may be spent is spent; what was done is kept
    ├── StoreError           the database cannot be reached, read or written
    ├── SealedError          what is encrypted cannot be opened with the keys that there are
    ├── DamagedError         what is encrypted is not what was written
    ├── StudioError          Label Studio cannot be reached or refuses
    └── MissingExtraError    an optional package is not installed; names the extra

Every message says what was wrong, what was wanted, what came, and what to do.
The command line prints any of them without a traceback and exits with 2; with 1 for a CapError.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

__all__ = [
    "CapError",
    "DamagedError",
    "DataError",
    "LeavenError",
    "MissingExtraError",
    "RunError",
    "SealedError",
    "SettingError",
    "StoreError",
    "UnknownNameError",
    "nearest",
]


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was probably meant to be, or None.

    >>> nearest("fixmach", ["fixmatch", "mean-teacher"])
    'fixmatch'
    """
    lowered = {k.lower(): k for k in known}
    close = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    return lowered[close[0]] if close else None


class LeavenError(Exception):
    """The root of all errors that Leaven raises on purpose."""


class SettingError(LeavenError):
    """A parameter's value cannot be used.

    >>> str(SettingError("threshold", "a number in [0, 1)", 2, "Lower it."))
    "'threshold' must be a number in [0, 1). Got 2. Lower it."
    """

    def __init__(self, parameter: str, wanted: str, got: object, fix: str = "") -> None:
        self.parameter, self.wanted, self.got, self.fix = parameter, wanted, got, fix
        super().__init__(f"'{parameter}' must be {wanted}. Got {got!r}. {fix}".rstrip())


class UnknownNameError(SettingError):
    """No such method, encoder, column …: lists what there is and suggests the nearest."""

    def __init__(self, noun: str, got: str, known: Iterable[str]) -> None:
        names = sorted(known)
        guess = nearest(got, names)
        fix = f"Did you mean {guess!r}?" if guess else ""
        listed = ", ".join(names[:30]) + (" …" if len(names) > 30 else "")
        super().__init__(noun, f"one of: {listed or '(none)'}", got, fix)


class DataError(LeavenError):
    """The records cannot be used as they are."""


class RunError(LeavenError):
    """A run folder is busy, damaged, or is no run at all."""


class CapError(LeavenError):
    """Work stopped at a cap that was set. What was done is kept, and can be gone on with.

    `spent` is what it took so far, by name, such as `cpu_seconds`.
    """

    def __init__(self, message: str, spent: Mapping[str, float]) -> None:
        self.spent = spent
        super().__init__(message)


class StoreError(LeavenError):
    """The database cannot be reached, read or written.

    Nothing of the attempt is in it, or it is not certain, which the message then says.
    """


class SealedError(LeavenError):
    """What is encrypted cannot be opened: there is no key, or none of the keys is its own.

    It is whole, so nobody should take it for broken and delete it.
    """


class DamagedError(LeavenError, ValueError):
    """What is encrypted is not what was written there: it was changed or cut off."""


class MissingExtraError(LeavenError):
    """An optional package is missing.

    >>> str(MissingExtraError("text", "a Hugging Face encoder"))
    "a Hugging Face encoder needs the extra 'text'. Install it: pip install 'leaven[text]'"
    """

    def __init__(self, extra: str, purpose: str) -> None:
        self.extra = extra
        super().__init__(
            f"{purpose} needs the extra '{extra}'. Install it: pip install 'leaven[{extra}]'"
        )
