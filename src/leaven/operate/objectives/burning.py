"""How fast an error budget is spent, and when that is to be told.

A promise that 99.9 % are good in 30 days leaves a budget of 0.1 %. The *burn rate* is the share of
bad requests over that: at 1 the budget lasts exactly its 30 days, at 14.4 a fiftieth of it is gone
in an hour. An alert needs the rate over a long window, so that little is lost before it comes, and
over a short one, so that it ends soon after what was wrong has ended. (Beyer et al. 2018, "The Site
Reliability Workbook", chapter 5, table 5-8.)
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RULES", "Rule"]

_HOUR, _DAY = 3600.0, 86_400.0


@dataclass(frozen=True)
class Rule:
    """Alert where this share of the budget would be spent within `long` seconds.

    >>> [round(rule.rate(30 * 86400), 1) for rule in RULES]
    [14.4, 6.0, 1.0]
    """

    severity: str
    spent: float
    long: float
    short: float

    def rate(self, period: float) -> float:
        """The burn rate from which on it alerts, for a budget of so many seconds; 1 at least.

        A slower one leaves some of the budget at the end of the period.
        """
        return max(self.spent * period / self.long, 1.0)


#: The workbook's: 2 % of the budget in 1 h and 5 % in 6 h wake somebody, 10 % in 3 d can wait for
#: the day.
RULES = (
    Rule("page", 0.02, _HOUR, _HOUR / 12),
    Rule("page", 0.05, 6 * _HOUR, _HOUR / 2),
    Rule("ticket", 0.10, 3 * _DAY, 6 * _HOUR),
)
