"""What a canary must show, how surely, and in which steps it goes on."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from leaven.core.errors import SettingError, UnknownNameError
from leaven.core.typed import built

__all__ = ["ACCURACY", "NAMES", "QUALITY", "SERVICE", "SHIFT", "Policy"]

SERVICE = ("errors", "latency")
#: What shows that a canary answers otherwise than the live run, for better or worse.
SHIFT = ("agreement", "classes", "confidence")
#: What shows that it answers better or worse.
QUALITY = ("accuracy", "calibration")
ACCURACY = QUALITY[0]
#: The signals of a canary.
NAMES = (*SERVICE, *SHIFT, *QUALITY)


class Policy(BaseModel):
    """How a canary is judged. The table `[canary]` of a TOML file, or options, change it.

    `steps` are the shares of the requests, in per cent, the last 100; a step takes `requests`
    requests of the canary and `minutes` at least. A canary that is in truth no worse is rolled back
    with probability `false_alarms` at most, over all signals, steps and looks together; one that is
    worse by a margin reaches the next step with probability `false_passes` at most.

    The margins: of the canary's requests, `errors` more may fail, and `slow` more may be slow,
    which is above `latency` times the time within which 95 % of the live run's are answered, and
    above `quick` seconds. Of the requests that both were asked, `agreement` may be answered
    otherwise. The share of each class, and the mean confidence, may differ by `classes` and
    `confidence`. By truth, the canary may have `accuracy` less, and `calibration` more mean squared
    error of its confidence. Where the evaluation of the canary was better than that of the live
    run, two margins widen to what both let expect, see `expecting`.

    `truth` says when accuracy and calibration must be shown: at every `step`, for `promotion`, or
    `never`. Signals in `ignore` are not looked at.

    >>> Policy.build({"eror": 0.1})
    Traceback (most recent call last):
    leaven.core.errors.UnknownNameError: 'canary setting' must be one of: accuracy, agreement, \
calibration, classes, confidence, errors, false_alarms, false_passes, ignore, latency, minutes, \
quick, requests, slow, steps, truth. Got 'eror'. Did you mean 'errors'?
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    steps: tuple[float, ...] = (10, 25, 50, 100)
    requests: int = Field(200, ge=1, le=10_000_000)
    minutes: float = Field(10.0, ge=0, le=100_000)
    false_alarms: float = Field(0.05, gt=0, le=0.5)
    false_passes: float = Field(0.05, gt=0, le=0.5)
    errors: float = Field(0.02, gt=0, lt=1)
    latency: float = Field(1.5, ge=1, le=1000)
    slow: float = Field(0.05, gt=0, lt=1)
    quick: float = Field(0.02, ge=0, le=1000)
    agreement: float = Field(0.25, gt=0, lt=1)
    classes: float = Field(0.1, gt=0, lt=1)
    confidence: float = Field(0.1, gt=0, lt=1)
    accuracy: float = Field(0.05, gt=0, lt=1)
    calibration: float = Field(0.05, gt=0, lt=1)
    truth: Literal["step", "promotion", "never"] = "promotion"
    ignore: tuple[str, ...] = ()

    @field_validator("steps")
    @classmethod
    def _steps(cls, steps: tuple[float, ...]) -> tuple[float, ...]:
        if not steps or list(steps) != sorted({*steps}) or steps[0] <= 0 or steps[-1] != 100:
            wanted = "rising shares in per cent that end with 100, such as 10, 25, 50, 100"
            raise SettingError("steps", wanted, list(steps))
        return steps

    @field_validator("ignore", mode="before")
    @classmethod
    def _one_or_several(cls, ignore: object) -> object:
        return (ignore,) if isinstance(ignore, str) else ignore

    @field_validator("ignore")
    @classmethod
    def _known(cls, ignore: tuple[str, ...]) -> tuple[str, ...]:
        for name in ignore:
            if name not in NAMES:
                raise UnknownNameError("signal", name, NAMES)
        return ignore

    @property
    def names(self) -> tuple[str, ...]:
        """The signals that are looked at."""
        return tuple(name for name in NAMES if name not in self.ignore)

    def after(self, share: float) -> float:
        """The share, at most 1, that comes after this one.

        >>> Policy().after(0.1), Policy().after(0.3), Policy().after(0.5)
        (0.25, 0.5, 1.0)
        """
        return next((one / 100 for one in self.steps if one / 100 > share + 1e-9), 1.0)

    def expecting(self, canary: float, live: float) -> Policy:
        """The policy for two runs of which the evaluation showed these accuracies.

        Two models answer a record otherwise only where one of them errs, so `agreement` allows the
        sum of their errors at least; the mean confidence is to differ as the accuracy does. A
        canary whose evaluation was worse is to be like the live run.

        >>> told = Policy().expecting(0.9, 0.7)
        >>> round(told.agreement, 3), round(told.confidence, 3)
        (0.4, 0.3)
        """
        if canary < live:
            return self
        agreement = max(self.agreement, min(2 - canary - live, 0.99))
        confidence = min(self.confidence + canary - live, 0.99)
        return self.model_copy(update={"agreement": agreement, "confidence": confidence})

    def needs_truth(self, after: float) -> bool:
        """Whether truth must have shown the quality before the canary gets the share `after`."""
        return self.truth == "step" or (self.truth == "promotion" and after >= 1)

    @classmethod
    def build(cls, values: Mapping[str, Any]) -> Policy:
        """From plain values; SettingError or UnknownNameError says which one is wrong."""
        return built(cls, values, "canary setting")

    @classmethod
    def read(cls, path: str | Path | None, changes: Mapping[str, Any] | None = None) -> Policy:
        """The table `[canary]` of a TOML file, other tables left alone; `changes` count before it.

        Raises SettingError for a file that cannot be read or has no such table.
        """
        told: dict[str, Any] = {}
        if path is not None:
            try:
                told = tomllib.loads(Path(path).read_text("utf-8")).get("canary", {})
            except (OSError, UnicodeDecodeError) as missing:
                raise SettingError("policy", "a readable TOML file", str(path)) from missing
            except tomllib.TOMLDecodeError as broken:
                raise SettingError("policy", "valid TOML", str(broken)) from None
            if not isinstance(told, dict) or not told:
                raise SettingError("policy", "a TOML file with a table [canary]", str(path))
        return cls.build(told | dict(changes or {}))
