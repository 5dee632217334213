"""Stricter acceptance: which setting of a method to change so that fewer guesses teach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from leaven.learn.choices.accept import AtLeast
from leaven.learn.choices.compose import composed, in_words
from leaven.learn.method import METHODS

__all__ = ["stricter"]

_FLOOR, _ALONE = AtLeast(0.95), "supervised"


def stricter(method: str, objective: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Settings of a fit, as for `--set`, and in words what becomes stricter.

    A fixed threshold moves half of the way to one. Where rules have none, 95 % at least is asked
    for besides. A method without such rules has nothing to change.

    Parameters
    ----------
    objective : the settings that the recipe has already.

    >>> stricter("fixmatch", {})[0]
    {'accept': ['AtLeast(0.975)']}
    >>> stricter("label-spreading", {})[0]
    {}
    """
    if method == _ALONE:
        return {}, f"'{method}' learns from labels alone."
    known = METHODS[method]
    whole = composed(getattr(known, "objective", known), objective)
    accept = getattr(whole, "accept", None)
    if accept is None:
        return {}, (
            f"'{method}' accepts no guesses by a threshold that could be raised: the labels alone "
            f"change. A method that takes none at all: --set method={_ALONE}."
        )
    rules = accept if isinstance(accept, tuple) else (accept,)
    raised = tuple(_raised(rule) for rule in rules)
    if raised == rules:
        raised = (*rules, _FLOOR)
    told = {"accept": [in_words(rule) for rule in raised]}
    return told, f"Accepts by {in_words(raised)}, where it was {in_words(rules)}."


def _raised(rule: Any) -> Any:
    """The rule with its fixed thresholds half of the way to one."""
    if hasattr(rule, "threshold"):
        return replace(rule, threshold=_half(rule.threshold))
    if hasattr(rule, "thresholds"):
        return replace(rule, thresholds=tuple(_half(one) for one in rule.thresholds))
    return rule


def _half(threshold: float) -> float:
    return round((1 + threshold) / 2, 6)
