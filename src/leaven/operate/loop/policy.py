"""What a loop may do by itself, when, how often, and what a person decides: the tables [loop]."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from leaven.core.errors import SettingError, UnknownNameError
from leaven.core.typed import CONFIG, built, tables
from leaven.data.readers import data_name

__all__ = ["FILE", "MAJOR", "Asking", "Fit", "Gate", "Limits", "Policy", "Shadow", "Triggers"]

#: Where the tables are looked for if no file is named.
FILE = CONFIG

#: What can make a change major, so that a person decides.
MAJOR = ("first", "verdict", "method", "classes", "grown")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Fit(_Strict):
    """How a run is fitted: the options of `leaven fit` of these names.

    `rules` are automatic labels: they are left out while these are paused.
    """

    label: str | None = None
    modality: str | None = None
    id: str | None = None
    group: str | None = None
    time: str | None = None
    labels: str | None = None
    rules: str | None = None
    method: str | None = None
    encoder: str | None = None
    budget: str | None = None
    seed: int | None = None
    recipe: str | None = None


class Triggers(_Strict):
    """What begins a cycle, besides a person; None and empty for what does not.

    `days` since the last one began; `labels` that were given since the last fit, in the queue and
    as truth from production; `drift`, records that came in, which are looked at every `drift_days`;
    `alarms`, names of objectives of which an alert opened since, or "*" for any.
    """

    days: float | None = Field(None, gt=0, le=3660)
    labels: int | None = Field(None, ge=1, le=100_000_000)
    drift: str | None = None
    drift_days: float = Field(1.0, gt=0, le=3660)
    alarms: tuple[str, ...] = ()

    @field_validator("alarms", mode="before")
    @classmethod
    def _one_or_several(cls, alarms: object) -> object:
        return (alarms,) if isinstance(alarms, str) else alarms


class Limits(_Strict):
    """How often, and for how much.

    Between the beginnings of two cycles lie `rest_hours`, and an hour at least after one whose data
    or fit failed, unless a person begins one. In seven days
    there are `fits` at most, that use `cpu_hours` and cost `money` at most, by the prices of
    `[costs]`: all hold for persons too, and a fit stops where nothing is left. A fit is
    begun `tries` times at most, should it be killed each time. A canary is taken back, and a
    question to a person is given up, after `patience_days`.
    """

    rest_hours: float = Field(24.0, ge=0, le=100_000)
    fits: int = Field(7, ge=1, le=100_000)
    cpu_hours: float | None = Field(None, gt=0, le=1_000_000)
    money: float | None = Field(None, gt=0, le=1_000_000_000)
    tries: int = Field(5, ge=1, le=100_000)
    patience_days: float = Field(14.0, gt=0, le=3660)


class Gate(_Strict):
    """What a run must show, and what a person decides.

    On the records that both judged it may be right `loss` less often than the live run at most, and
    must not be shown to be worse. `major` are the reasons for which a person decides: the `first`
    release, a `verdict` other than better, another `method`, other `classes`, or data that have
    `grown` by more than this share. A verdict that is no reason for a person to decide ends the
    cycle.
    """

    loss: float = Field(0.05, ge=0, lt=1)
    major: tuple[str, ...] = MAJOR
    grown: float = Field(0.5, gt=0, le=1_000_000)

    @field_validator("major")
    @classmethod
    def _known(cls, major: tuple[str, ...]) -> tuple[str, ...]:
        for name in major:
            if name not in MAJOR:
                raise UnknownNameError("major", name, MAJOR)
        return major


class Shadow(_Strict):
    """Of how many `requests` the answers are compared before a canary, and for how many `hours` at
    least; none where both are 0. It is held back where it is shown to `agree` with the live run on
    fewer of them than this share."""

    requests: int = Field(0, ge=0, le=100_000_000)
    hours: float = Field(0.0, ge=0, le=100_000)
    agree: float = Field(0.75, ge=0, lt=1)

    @property
    def asked(self) -> bool:
        """Whether there is to be a shadow at all."""
        return bool(self.requests or self.hours)


class Asking(_Strict):
    """How many questions end a cycle, and what they may cost.

    An answer costs `price`; the answers to the questions of 30 days cost `money` at most. The other
    settings are those of `leaven query`.
    """

    count: int = Field(20, ge=0, le=10_000)
    strategy: str = "auto"
    explore: float = Field(0.1, ge=0, le=1)
    wanted: int = Field(1, ge=1, le=100)
    price: float = Field(0.0, ge=0, le=1_000_000)
    money: float | None = Field(None, ge=0, le=1_000_000_000)


class Policy(_Strict):
    """All that `[loop]` says.

    `data` are the records, read anew for each cycle; `service` is named as them if not given, and
    so is the `queue` whose answers teach. `runs` is the folder in which runs are made. With
    `canary = "never"` a run that has passed goes live at once.

    >>> Policy.build({"data": "tickets.csv", "trigger": {"label": 20}})
    Traceback (most recent call last):
    leaven.core.errors.UnknownNameError: 'setting of [loop.trigger]' must be one of: alarms, \
days, drift, drift_days, labels. Got 'label'. Did you mean 'labels'?
    """

    data: str = Field(min_length=1, max_length=4000)
    service: str = Field("", max_length=200)
    queue: str = Field("", max_length=200)
    runs: str = "runs"
    canary: Literal["always", "never"] = "always"
    fit: Fit = Fit()
    trigger: Triggers = Triggers()
    limits: Limits = Limits()
    gate: Gate = Gate()
    shadow: Shadow = Shadow()
    ask: Asking = Asking()

    @property
    def named(self) -> str:
        """The service."""
        return self.service or data_name(self.data)

    @property
    def asks_in(self) -> str:
        """The queue whose answers teach."""
        return self.queue or data_name(self.data)

    @classmethod
    def build(cls, values: Mapping[str, Any]) -> Policy:
        """From plain values; SettingError or UnknownNameError says which one is wrong."""
        return built(
            cls,
            values,
            lambda path: f"setting of [{'.'.join(['loop', *path])}]",
            "given in the table [loop]",
        )

    @classmethod
    def read(cls, path: str | Path | None = None) -> tuple[Policy, dict[str, Any] | None]:
        """The table `[loop]` of a TOML file, by default of `leaven.toml`, and its `[canary]`.

        Other tables are left alone. Raises SettingError for a file that cannot be read or has no
        table `[loop]`.
        """
        file = Path(FILE if path is None else path)
        told = tables(file, "" if path else "Write one, or name another: --config FILE.")
        table, canary = told.get("loop"), told.get("canary")
        if not isinstance(table, dict):
            raise SettingError("config", "a TOML file with a table [loop]", str(file))
        return cls.build(table), canary if isinstance(canary, dict) else None
