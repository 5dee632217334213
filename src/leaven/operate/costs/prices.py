"""What things cost: the table [costs]. What has no price costs nobody knows what, never nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from leaven.core.errors import SettingError
from leaven.core.typed import CONFIG, built, tables
from leaven.core.wording import money as in_words
from leaven.evaluate.spending import GIGABYTE, HOUR, Caps

__all__ = ["MONTH", "Prices"]

#: Seconds of a month of 30 days.
MONTH = 30 * 86400.0
_Amount = Annotated[float, Field(ge=0, le=1_000_000_000, allow_inf_nan=False)]


class Prices(BaseModel):
    """All that `[costs]` says, in one currency; None for what has no price.

    Attributes
    ----------
    currency : the name that stands behind amounts.
    cpu_hour, gpu_hour : of an hour of one processor, and of one that a GPU is held.
    gigabyte_month : of 10^9 bytes that are kept for 30 days.
    label : of one answer of a person; `people` says what that of somebody costs instead.
    given : of a label that came with the data.

    >>> Prices.build({"cpu_hours": 0.04})
    Traceback (most recent call last):
    leaven.core.errors.UnknownNameError: 'setting of [costs]' must be one of: cpu_hour, currency, \
gigabyte_month, given, gpu_hour, label, people. Got 'cpu_hours'. Did you mean 'cpu_hour'?
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    currency: str = Field("", max_length=20, pattern=r"^[^\x00-\x1f\x7f]*$")
    cpu_hour: _Amount | None = None
    gpu_hour: _Amount | None = None
    gigabyte_month: _Amount | None = None
    label: _Amount | None = None
    given: _Amount | None = None
    people: dict[str, _Amount] = Field(default_factory=dict)

    @classmethod
    def build(cls, values: Mapping[str, Any]) -> Prices:
        """From plain values; SettingError or UnknownNameError says which one is wrong."""
        return built(cls, values, "setting of [costs]")

    @classmethod
    def read(cls, path: str | Path | None = None, *, needed: bool = True) -> Prices:
        """The table of a TOML file, by default of `leaven.toml`, whose other tables are left alone.

        Where no file is named there need be none, and no table. Raises SettingError for one that
        cannot be read, and where it is `needed` for one that is named and has no table `[costs]`.
        """
        if path is None and not Path(CONFIG).is_file():
            return cls()
        file = Path(CONFIG if path is None else path)
        told = tables(file).get("costs", None if needed and path is not None else {})
        if not isinstance(told, dict):
            raise SettingError("prices", "a TOML file with a table [costs]", str(file))
        return cls.build(told)

    def compute(self, cpu_seconds: float, gpu_seconds: float = 0.0) -> float | None:
        """What so much computing costs; None where what it took has no price.

        >>> Prices(cpu_hour=0.5).compute(1800), Prices(cpu_hour=0.5).compute(1800, 1)
        (0.25, None)
        """
        return _sum(
            _times(self.cpu_hour, cpu_seconds / HOUR), _times(self.gpu_hour, gpu_seconds / HOUR)
        )

    def storage(self, size: float, seconds: float = MONTH) -> float | None:
        """What it costs to keep so many bytes for so long."""
        return _times(self.gigabyte_month, size / GIGABYTE * seconds / MONTH)

    def labels(self, answers: Mapping[str, int], given: int = 0) -> float | None:
        """What labels cost: answers by who gave them, and labels that came with the data.

        Those that came with the data and have no price were there anyhow, and are left out.

        >>> Prices(label=0.5, people={"ann": 2}).labels({"ann": 3, "ben": 4}, given=100)
        8.0
        """
        each = (_times(self.people.get(who, self.label), n) for who, n in answers.items())
        return _sum(*each, _times(self.given, given) if self.given is not None else 0.0)

    def caps(
        self,
        cpu_hours: float | None = None,
        memory: float | None = None,
        money: float | None = None,
    ) -> Caps:
        """Caps of a fit, `memory` in gigabytes; SettingError for one that is none, and for money
        without a price of a CPU hour."""
        for name, most in (("cpu_hours", cpu_hours), ("memory", memory), ("money", money)):
            if most is not None and not (math.isfinite(most) and most > 0):
                raise SettingError(name, "a number above 0", most)
        if money is not None and not self.cpu_hour:
            fix = f"Set cpu_hour in the table [costs] of {CONFIG}, or cap cpu_hours."
            raise SettingError("money", "left out where a CPU hour has no price", money, fix)
        return Caps(
            None if cpu_hours is None else cpu_hours * HOUR,
            None if memory is None else memory * GIGABYTE,
            money, self.cpu_hour or 0.0, self.gpu_hour or 0.0, self.currency,
        )  # fmt: skip

    def said(self, amount: float | None) -> str:
        """An amount as people read it; an en dash for None."""
        return in_words(amount, self.currency)


def _times(price: float | None, amount: float) -> float | None:
    """The cost of an amount; of none of it nothing, whether it has a price or not."""
    return 0.0 if not amount else None if price is None else price * amount


def _sum(*amounts: float | None) -> float | None:
    """All together; None where one is not known."""
    known = [one for one in amounts if one is not None]
    return sum(known) if len(known) == len(amounts) else None
