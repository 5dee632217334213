"""What is promised of services, and who is told: the tables [[slo]], [[route]] and [alerts]."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from leaven.core.errors import LeavenError, SettingError, UnknownNameError
from leaven.operate.objectives.indicator import INDICATORS, SHARE, FigureIndicator, RequestIndicator
from leaven.operate.objectives.routes.alertmanager import AlertmanagerRoute
from leaven.operate.objectives.routes.log import LogRoute
from leaven.operate.objectives.routes.mail import MailRoute
from leaven.operate.objectives.routes.webhook import WebhookRoute

__all__ = ["FILE", "Alerting", "Objectives", "Route", "Slo", "seconds"]

#: Where the tables are looked for if no file is named.
FILE = "leaven.toml"
_LARGEST = 1_000_000  # bytes of a configuration
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_NAME = r"^[\w][\w .-]{0,79}$"


def seconds(told: object) -> float:
    """A duration, `90`, `15m`, `4h` or `7d`, in seconds; SettingError for anything else.

    >>> seconds("15m"), seconds("1.5h"), seconds(90)
    (900.0, 5400.0, 90.0)
    """
    if isinstance(told, int | float) and not isinstance(told, bool):
        return float(told)
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)\s*(s|m|min|h|d)", str(told).strip())
    if match is None:
        raise SettingError("duration", "seconds, or a number with s, m, h or d, as 15m", told)
    return float(match[1]) * _UNITS[match[2]]


_Span = Annotated[float, BeforeValidator(seconds), Field(ge=0, le=366 * 86400)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Slo(_Strict):
    """One promise: what is measured, the bound, and of which services (all if not named).

    Of requests `target` is the share that is good in `days`; `within` the seconds of a request that
    is not slow; an alert needs `least` bad requests. Of a figure `target` is its bound, and an
    alert of `severity` opens once it is shown to be broken for longer than `grace`. `confidence` is
    that of accepted pseudo-labels.

    >>> Slo(name="answers", indicator="errors").target
    0.999
    """

    name: str = Field(pattern=_NAME)
    indicator: str
    target: float | None = Field(None, ge=0, allow_inf_nan=False)
    days: float = Field(30, ge=7, le=92)
    least: int = Field(5, ge=1, le=1_000_000)
    within: _Span | None = None
    services: tuple[str, ...] = ()
    severity: Literal["page", "ticket", "note"] | None = None
    grace: _Span | None = None
    confidence: float | None = Field(None, ge=0, le=1)
    runbook: str = Field("", max_length=500, pattern=r"^[^\x00-\x20\x7f]*$")

    @field_validator("target", mode="before")
    @classmethod
    def _target(cls, target: object) -> object:
        return seconds(target) if isinstance(target, str) else target

    @field_validator("services", mode="before")
    @classmethod
    def _one_or_several(cls, services: object) -> object:
        return (services,) if isinstance(services, str) else services

    @model_validator(mode="after")
    def _fits(self) -> Slo:
        kind = INDICATORS[self.indicator]
        given = self.model_fields_set
        if self.target is None and kind.target is not None:
            object.__setattr__(self, "target", kind.target)
        if isinstance(kind, RequestIndicator):
            if self.target is not None and not 0 < self.target < 1:
                raise SettingError("target", "a share between 0 and 1 of good requests",
                                   self.target)  # fmt: skip
            if self.within is None and kind.within is not None:
                object.__setattr__(self, "within", kind.within)
            _refuse(given, "severity", "grace", "confidence", of=kind.name)
        else:
            _refuse(given, "days", "least", of=kind.name)
            if kind.unit == SHARE and self.target is not None and self.target > 1:
                raise SettingError("target", "a share from 0 to 1", self.target)
            _refuse(given, *({"confidence"} - {*kind.settings}), of=kind.name)
        if kind.name != "latency":
            _refuse(given, "within", of=kind.name)
        return self

    @property
    def kind(self) -> RequestIndicator | FigureIndicator:
        """What is measured."""
        return INDICATORS[self.indicator]


def _refuse(given: set[str], *names: str, of: str) -> None:
    for name in sorted(given & {*names}):
        raise SettingError(name, f"left out: an objective of '{of}' has none", name)


class Alerting(_Strict):
    """When alerts open, close, and are told again.

    A figure is broken for `grace` before an alert opens, and an alert closes once it is fine for
    `settle`, which doubles with each further alert of the same kind in a day. Of one that stands
    people are reminded after `remind`. `runbooks` is put before the names of runbooks.
    """

    grace: _Span = 900.0
    settle: _Span = 900.0
    remind: _Span = Field(4 * 3600.0, ge=60)
    runbooks: str = Field("docs/runbooks/", max_length=500, pattern=r"^[^\x00-\x20\x7f]*$")


Route = Annotated[
    LogRoute | WebhookRoute | MailRoute | AlertmanagerRoute, Field(discriminator="kind")
]


class Objectives(_Strict):
    """All that a file says. Without it there are an objective of each indicator, and the log.

    >>> [slo.name for slo in Objectives().slo][:3]
    ['abstaining', 'accuracy', 'audited-accuracy']
    >>> Objectives.build({"slo": [{"name": "a", "indicator": "erors"}]})
    Traceback (most recent call last):
    leaven.core.errors.UnknownNameError: 'indicator' must be one of: abstaining, accuracy, \
audited-accuracy, backlog, calibration, caused-labels, disk, drift, entropy, errors, \
explored-truth, feedback-bias, feedback-mix, fit-cost, held-out-gap, latency, leaks, \
overconfidence, pseudo-label-drift, pseudo-label-mix, pseudo-labels, restarts, revealing, \
waiting. Got 'erors'. Did you mean 'errors'?
    """

    slo: tuple[Slo, ...] = Field(
        default_factory=lambda: tuple(Slo(name=name, indicator=name) for name in INDICATORS),
        max_length=200,
    )
    route: tuple[Route, ...] = Field((LogRoute(kind="log", name="log"),), max_length=50)
    alerts: Alerting = Alerting()

    @model_validator(mode="after")
    def _names(self) -> Objectives:
        for noun, every in (("slo", self.slo), ("route", self.route)):
            names = [one.name for one in every]
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise SettingError(f"{noun} name", "different from all others", twice)
        return self

    def of(self, service: str) -> list[Slo]:
        """What is promised of this service."""
        return [slo for slo in self.slo if not slo.services or service in slo.services]

    @classmethod
    def build(cls, values: Mapping[str, Any]) -> Objectives:
        """From plain values; SettingError or UnknownNameError says which one is wrong."""
        try:
            return cls.model_validate(values)
        except ValidationError as invalid:
            raise _said(invalid) from None

    @classmethod
    def read(cls, path: str | Path | None = None) -> Objectives:
        """Those of a TOML file, whose other tables are left alone; by default of `leaven.toml`.

        Raises SettingError for a file that cannot be read; where none is named there need be none.
        """
        if path is None and not Path(FILE).is_file():
            return cls()
        file = Path(FILE if path is None else path)
        try:
            with file.open("rb") as opened:
                told = tomllib.loads(opened.read(_LARGEST).decode())
        except (OSError, UnicodeDecodeError) as missing:
            raise SettingError("config", "a readable TOML file", str(file)) from missing
        except tomllib.TOMLDecodeError as broken:
            raise SettingError("config", "valid TOML", str(broken)) from None
        ours = {name: told[name] for name in cls.model_fields if name in told}
        if path is not None and not ours:
            wanted = "a TOML file with [[slo]], [[route]] or [alerts]"
            raise SettingError("config", wanted, str(file))
        return cls.build(ours)


_MODELS: Mapping[str, type[BaseModel]] = {
    "slo": Slo,
    "alerts": Alerting,
    "log": LogRoute,
    "webhook": WebhookRoute,
    "mail": MailRoute,
    "alertmanager": AlertmanagerRoute,
}


def _said(invalid: ValidationError) -> LeavenError:
    """The first fault, as a sentence for who wrote the file."""
    unknown_first = sorted(invalid.errors(), key=lambda one: one["type"] != "extra_forbidden")
    first = unknown_first[0]
    if isinstance(cause := first.get("ctx", {}).get("error"), LeavenError):
        return cause
    place = [str(part) for part in first["loc"]]
    if first["type"] == "extra_forbidden":
        owner = next((_MODELS[part] for part in reversed(place[:-1]) if part in _MODELS), None)
        return UnknownNameError(
            f"{place[0]} setting", place[-1], (owner or Objectives).model_fields
        )
    if first["type"].startswith("union_tag"):
        kinds = ("alertmanager", "log", "mail", "webhook")
        given = first["input"].get("kind", "") if isinstance(first["input"], dict) else ""
        return UnknownNameError("route kind", str(given), kinds)
    if first["type"] == "missing":
        return SettingError(".".join(place), "given", "nothing")
    wanted = first["msg"].removeprefix("Input should be ")
    return SettingError(".".join(place), wanted, first["input"])
