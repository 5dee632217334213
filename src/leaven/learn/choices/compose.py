"""Choices from text: what `leaven methods --table` prints can be written into a recipe.

    >>> read_choice("accept", "AtLeast(0.8)")
    AtLeast(threshold=0.8)
    >>> read_choice("accept", "AtLest(0.8)")
    Traceback (most recent call last):
    leaven.core.errors.UnknownNameError: 'accept' must be one of: All, AtLeast, Balanced, \
Certain, Easiest, EasiestOfEach, FallingLoss, Gaussian, LearningStatus, LowEntropy, \
NeighboursAgree, PerClass, Relative, Scheduled, SelfAdaptive, Steady. Got 'AtLest'. Did you mean \
'AtLeast'?
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from leaven.core.errors import SettingError, UnknownNameError
from leaven.learn.choices.choice import PARTS

__all__ = ["composed", "in_words", "read_choice"]

T = TypeVar("T")

_LONGEST = 200  # signs of one choice
#: Parts of a row of which several may stand together, and those that may be left out.
_SEVERAL = ("accept", "align")
_OPTIONAL = ("align", "ramp", "fairness", "predictor")


def composed(objective: T, settings: Mapping[str, Any]) -> T:
    """`objective` with some of its fields replaced by what a recipe says of them.

    Choices are read from text, several from a list of texts; other fields take plain values of
    the kind they have. Raises UnknownNameError for a field or a choice that does not exist,
    SettingError for a value that does not fit.
    """
    if not settings:
        return objective
    if not is_dataclass(objective) or isinstance(objective, type) or not fields(objective):
        raise SettingError("objective", "no settings, for this method has none", dict(settings))
    known = {f.name: getattr(objective, f.name) for f in fields(objective)}
    new: dict[str, Any] = {}
    for name, value in settings.items():
        if name not in known:
            owner = getattr(objective, "name", "the objective")
            raise UnknownNameError(f"setting of {owner}", name, known)
        new[name] = _part(name, value) if name in PARTS else _plain(name, value, known[name])
    return replace(objective, **new)


def read_choice(part: str, text: str) -> Any:
    """The choice that a text like `AtLeast(0.8)` stands for; see the module."""
    try:
        if len(text) > _LONGEST:  # a text nested without end would end the parser
            raise ValueError
        tree = ast.parse(text.strip(), mode="eval").body
        call = tree if isinstance(tree, ast.Call) else ast.Call(tree, [], [])
        if not isinstance(call.func, ast.Name):
            raise ValueError
        given = [ast.literal_eval(_quoted(a)) for a in call.args]
        named = {str(k.arg): ast.literal_eval(_quoted(k.value)) for k in call.keywords}
    except (SyntaxError, ValueError):
        raise SettingError(
            f"objective.{part}", "a choice such as Name or Name(0.5)", text
        ) from None
    kind = PARTS[part][call.func.id]
    names = [f.name for f in fields(kind)]
    if len(given) > len(names):
        most = f"at most {len(names)} settings ({', '.join(names)})" if names else "no settings"
        raise SettingError(f"objective.{part}", f"{kind.__name__} with {most}", text)
    for name in named:
        if name not in names:
            raise UnknownNameError(f"setting of {kind.__name__}", name, names)
    asked = dict(zip(names, given, strict=False)) | named
    defaults = kind()
    return kind(
        **{n: _plain(f"{n} of {kind.__name__}", v, getattr(defaults, n)) for n, v in asked.items()}
    )


def in_words(choice: object) -> str:
    """A choice as `read_choice` reads it: its first setting, and others that are not the default.

    Several are joined by ` + `; none is a dash.

    >>> in_words(read_choice("ramp", "LinearRamp(0.1, 0.5)"))
    'LinearRamp(0.1, end=0.5)'
    """
    if choice is None or choice == ():
        return "–"
    if isinstance(choice, tuple):
        return " + ".join(in_words(one) for one in choice)
    if isinstance(choice, float):
        return f"{choice:g}"
    if not is_dataclass(choice):
        return str(choice)
    told = []
    for number, setting in enumerate(fields(choice)):
        value = getattr(choice, setting.name)
        if number == 0:
            told.append(f"{value}")
        elif value != setting.default:
            told.append(f"{setting.name}={value}")
    name = type(choice).__name__
    return f"{name}({', '.join(told)})" if told else name


def _part(part: str, value: Any) -> Any:
    texts = value if isinstance(value, list) else [value]
    if not texts:
        texts = ["none"]
    if not all(isinstance(text, str) for text in texts):
        raise SettingError(f"objective.{part}", "text such as Name(0.5)", value)
    if part in _OPTIONAL and texts in (["none"], [""], ["–"]):
        return () if part in _SEVERAL else None
    texts = [one for text in texts for one in text.split(" + ")]
    if part not in _SEVERAL and len(texts) > 1:
        raise SettingError(f"objective.{part}", "one choice", value)
    read = [read_choice(part, text) for text in texts]
    return read[0] if len(read) == 1 else tuple(read)


def _quoted(node: ast.expr) -> ast.expr:
    """A bare word stands for itself: SelfTeacher(weak) is what the table prints."""
    return ast.Constant(node.id) if isinstance(node, ast.Name) else node


def _plain(name: str, value: Any, now: Any) -> Any:
    """`value` as of the kind of the present one."""
    if isinstance(now, bool):
        if isinstance(value, bool):
            return value
        raise SettingError(name, "true or false", value)
    if isinstance(now, int | float) and isinstance(value, int | float):
        whole = not isinstance(value, bool) and (isinstance(now, float) or value == int(value))
        if whole:
            return type(now)(value)
    if isinstance(now, tuple) and isinstance(value, list | tuple | int | float):
        values = value if isinstance(value, list | tuple) else (value,)
        if all(isinstance(one, int | float) for one in values):
            return tuple(float(one) for one in values)
    if isinstance(now, str) and isinstance(value, str):
        return value
    wanted = {int: "a whole number", float: "a number", str: "a word", tuple: "numbers"}
    raise SettingError(name, wanted.get(type(now), "left as it is"), value)
