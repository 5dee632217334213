"""The kinds of labelling functions: a word, a pattern, a number, a function, a model.

A rule votes for a class or abstains (Ratner, De Sa, Wu, Selsam & Ré 2016, "Data Programming").
Words and patterns are matched by RE2, which Arrow brings: in time linear in the text whatever the
pattern says, so no pattern can run away. In return it knows no lookaround and no back reference,
and its \\w, \\d and \\b are of ASCII: a letter of any script is \\pL.
"""

from __future__ import annotations

import math
import operator
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leaven.core.errors import SettingError, UnknownNameError, nearest
from leaven.data.cells import level_names, numbers
from leaven.data.dataset import Dataset

__all__ = [
    "Answering", "Codes", "Faults", "Function", "Keyword", "Model", "Pattern", "Rule", "Threshold",
    "keyword", "model", "pattern", "python", "threshold",
]  # fmt: skip

#: Class positions, -1 where a rule abstains.
Codes = npt.NDArray[np.int16]
#: Positions of the records on which a rule failed, each with the message.
Faults = list[tuple[int, str]]

_SIGNS = r"\pL\pN\pM_"  # what words are made of, in any script
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "==": operator.eq, "!=": operator.ne,
}  # fmt: skip


class Answering(Protocol):
    """A model that can be asked, such as `leaven.learn.predictor.Predictor`."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the columns of its probabilities."""

    def predict(self, dataset: Dataset) -> tuple[Dataset, npt.NDArray[np.float64]]:
        """The records that it could read, and (n, k) probabilities of them."""


class Rule(ABC):
    """A name, the classes it may vote for (empty where only its function knows), and its votes."""

    #: Whether it must see all records at once; else they come in batches.
    whole: ClassVar[bool] = False
    name: str
    labels: tuple[str, ...]

    @abstractmethod
    def said(self, part: Dataset, classes: Sequence[str]) -> tuple[Codes, Faults]:
        """(n,) positions in `classes`, -1 for abstaining, and the records on which it failed."""


class _OfColumn(Rule):
    """A rule that votes for one class wherever a column's cell fulfils a condition."""

    label: str

    @property
    def labels(self) -> tuple[str, ...]:  # type: ignore[override]  # known from `label` alone
        return (self.label,)

    def said(self, part: Dataset, classes: Sequence[str]) -> tuple[Codes, Faults]:
        place = classes.index(self.label)
        return np.where(self._fires(part), place, -1).astype(np.int16), []

    @abstractmethod
    def _fires(self, part: Dataset) -> npt.NDArray[np.bool_]:
        """(n,) where the condition is met; not where the cell is missing."""


@dataclass(frozen=True)
class Pattern(_OfColumn):
    """Votes for `label` where `regex` is found in the text; see `pattern`."""

    regex: str
    label: str
    column: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        _strings(self, "regex", "label", "column", "name")
        try:
            pc.match_substring_regex(pa.array([""]), self.regex)
        except pa.ArrowInvalid as wrong:
            raise SettingError(
                "regex", "a pattern that RE2 can read", self.regex,
                f"{str(wrong).partition(': ')[2]}. RE2 has no lookaround and no back references.",
            ) from None  # fmt: skip
        _name(self, f"pattern {self.regex}")

    def _fires(self, part: Dataset) -> npt.NDArray[np.bool_]:
        return _matches(_texts(part, self.column), self.regex)


@dataclass(frozen=True)
class Keyword(_OfColumn):
    """Votes for `label` where one of the `words` stands in the text; see `keyword`."""

    words: tuple[str, ...]
    label: str
    column: str = ""
    whole_words: bool = True
    ignore_case: bool = True
    name: str = ""

    def __post_init__(self) -> None:
        words: object = self.words  # a file may bring anything
        if not (
            isinstance(words, list | tuple)
            and words
            and all(isinstance(word, str) and word.strip() for word in words)
        ):
            raise SettingError("words", "a list of words, none of them blank", words)
        object.__setattr__(self, "words", tuple(words))
        _strings(self, "label", "column", "name")
        for switch in ("whole_words", "ignore_case"):
            if not isinstance(getattr(self, switch), bool):
                raise SettingError(switch, "true or false", getattr(self, switch))
        _name(self, f"keyword {', '.join(self.words)}")

    @property
    def regex(self) -> str:
        """The pattern that finds the words."""
        ways = [self._bounded(word) if self.whole_words else re.escape(word) for word in self.words]
        return ("(?i)" if self.ignore_case else "") + "|".join(ways)

    def _bounded(self, word: str) -> str:
        # RE2's \b knows ASCII only. A sign of an alphabet may not go on beyond the word's ends; a
        # word that ends in another sign, as C++ does, ends there.
        before = f"(?:^|[^{_SIGNS}])" if _is_sign(word[0]) else ""
        after = f"(?:$|[^{_SIGNS}])" if _is_sign(word[-1]) else ""
        return before + re.escape(word) + after

    def _fires(self, part: Dataset) -> npt.NDArray[np.bool_]:
        return _matches(_texts(part, self.column), self.regex)


@dataclass(frozen=True)
class Threshold(_OfColumn):
    """Votes for `label` where a number compares so with `value`; see `threshold`."""

    column: str
    operator: str
    value: float
    label: str
    name: str = ""

    def __post_init__(self) -> None:
        _strings(self, "column", "operator", "label", "name")
        if self.operator not in _OPERATORS:
            raise SettingError("operator", f"one of {', '.join(_OPERATORS)}", self.operator)
        number = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        if not number or not math.isfinite(self.value):
            raise SettingError("value", "a finite number", self.value)
        _name(self, f"{self.column} {self.operator} {self.value:g}")

    def _fires(self, part: Dataset) -> npt.NDArray[np.bool_]:
        _known_column(part, self.column)
        cells = part.records[self.column]
        if pa.types.is_nested(cells.type):
            raise SettingError("column", "one of single numbers", self.column)
        found = numbers(cells)
        met: npt.NDArray[np.bool_] = _OPERATORS[self.operator](found, self.value)
        met[np.isnan(found)] = False  # what is not there differs from every value
        return met


@dataclass(frozen=True)
class Function(Rule):
    """Votes as a Python function says; see `python`."""

    function: Callable[[dict[str, Any]], str | None]
    labels: tuple[str, ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise SettingError("function", "something that can be called", self.function)
        object.__setattr__(self, "labels", tuple(self.labels))
        _name(self, getattr(self.function, "__name__", type(self.function).__name__))

    def said(self, part: Dataset, classes: Sequence[str]) -> tuple[Codes, Faults]:
        place = {name: i for i, name in enumerate(classes)}
        codes = np.full(len(part), -1, np.int16)
        faults: Faults = []
        for i, record in enumerate(part.records.to_pylist()):
            try:
                vote = self.function(record)
            except Exception as failed:  # noqa: BLE001 - a user's function may raise anything
                faults.append((i, f"{type(failed).__name__}: {failed}"))
                continue
            if vote is None:
                continue
            if isinstance(vote, str) and vote in place:
                codes[i] = place[vote]
            else:
                faults.append((i, _no_class(vote, place)))
        return codes, faults


@dataclass(frozen=True)
class Model(Rule):
    """Votes for a model's likeliest class where it is sure enough; see `model`."""

    whole: ClassVar[bool] = True
    predictor: Answering
    at_least: float = 0.9
    name: str = "model"

    def __post_init__(self) -> None:
        if not 0 <= self.at_least <= 1:
            raise SettingError("at_least", "a confidence in [0, 1]", self.at_least)
        _name(self, "model")

    @property
    def labels(self) -> tuple[str, ...]:  # type: ignore[override]  # those that the model knows
        return tuple(self.predictor.classes)

    def said(self, part: Dataset, classes: Sequence[str]) -> tuple[Codes, Faults]:
        read, answers = self.predictor.predict(part)
        p = np.asarray(answers, dtype=np.float64)
        if p.shape != (len(read), len(self.labels)):
            wanted = f"an array of shape {(len(read), len(self.labels))}"
            raise SettingError("probabilities", wanted, p.shape)
        place = {name: i for i, name in enumerate(part.ids.tolist())}
        at = np.array([place[name] for name in read.ids.tolist()], dtype=np.int64)
        codes = np.full(len(part), -1, np.int16)
        sensible = np.asarray(np.isfinite(p).all(axis=1))
        sure = sensible & (np.where(sensible[:, None], p, 0).max(1, initial=0) >= self.at_least)
        names = np.array([classes.index(name) for name in self.labels], dtype=np.int16)
        codes[at[sure]] = names[p[sure].argmax(1)]
        why = dict.fromkeys(np.setdiff1d(np.arange(len(part)), at).tolist(), "could not be read")
        for name, detail in zip(
            read.quarantine["id"].to_pylist(), read.quarantine["detail"].to_pylist(), strict=True
        ):
            if place.get(name) in why:
                why[place[name]] = f"could not be read: {detail}"
        why |= dict.fromkeys(at[~sensible].tolist(), "the model's answer is not a number")
        return codes, sorted(why.items())


def keyword(
    words: Sequence[str], label: str, *, column: str = "", whole_words: bool = True,
    ignore_case: bool = True, name: str = "",
) -> Keyword:  # fmt: skip
    """A rule that votes for `label` where one of the words, or phrases, stands in the text.

    Parameters
    ----------
    column : of texts or levels; may be left out where there is one text column, or one column.
    whole_words : no letter, digit, mark or underscore of any script may stand beside the word.
        Turn it off for scripts that write no spaces.

    >>> keyword(["win", "prize"], "spam").name
    'keyword win, prize'
    """
    _is_text("words", words)
    return Keyword(tuple(words), label, column, whole_words, ignore_case, name)


def pattern(regex: str, label: str, *, column: str = "", name: str = "") -> Pattern:
    """A rule that votes for `label` where RE2 finds `regex` in the text; (?i) ignores case.

    >>> pattern(r"(a+)+$", "spam").regex  # as quick as any other
    '(a+)+$'
    >>> pattern("(?=a)", "spam")
    Traceback (most recent call last):
    leaven.core.errors.SettingError: 'regex' must be a pattern that RE2 can read. Got '(?=a)'. \
invalid perl operator: (?=. RE2 has no lookaround and no back references.
    """
    return Pattern(regex, label, column, name)


def threshold(column: str, operator: str, value: float, label: str, *, name: str = "") -> Threshold:
    """A rule that votes for `label` where the column's number is <, <=, >, >=, == or != `value`.

    It abstains where the number is missing.

    >>> threshold("age", ">=", 65, "retired").name
    'age >= 65'
    """
    return Threshold(column, operator, value, label, name)


def python(
    function: Callable[[dict[str, Any]], str | None], *, labels: Sequence[str] = (), name: str = ""
) -> Function:
    """A rule that asks a function: of a record's cells by column, for a class name or None.

    What it raises, and a name that is no class, is listed beside the votes and costs no other
    record. `labels` are the classes it may name, needed where nothing else says which there are.

    >>> python(lambda record: "long" if len(record["text"]) > 80 else None, name="long").name
    'long'
    """
    _is_text("labels", labels)
    return Function(function, tuple(labels), name)


def model(predictor: Answering, *, at_least: float = 0.9, name: str = "model") -> Model:
    """A rule that votes for a model's likeliest class where its confidence is `at_least` so much.

    The model is asked about all records in one call.
    """
    return Model(predictor, at_least, name)


def _is_text(parameter: str, given: Sequence[str]) -> None:
    if isinstance(given, str):
        raise SettingError(parameter, "a list of strings", given, f"Write [{given!r}].")


def _strings(rule: Rule, *fields: str) -> None:
    for field in fields:
        value = getattr(rule, field)
        optional = field == "name" or (field == "column" and not isinstance(rule, Threshold))
        if not isinstance(value, str) or not (value or optional):
            wanted = "a string" if optional else "a string that is not empty"
            raise SettingError(field, wanted, value)


def _name(rule: Rule, otherwise: str) -> None:
    object.__setattr__(rule, "name", rule.name or otherwise)


def _is_sign(sign: str) -> bool:
    return bool(pc.match_substring_regex(pa.array([sign]), f"[{_SIGNS}]")[0].as_py())


def _no_class(vote: object, classes: Mapping[str, int]) -> str:
    if not isinstance(vote, str):
        return f"{vote!r} is no name of a class"
    guess = nearest(vote, classes)
    return f"{vote!r} is no class" + (f"; did you mean {guess!r}?" if guess else "")


def _known_column(part: Dataset, column: str) -> None:
    if column not in part.records.column_names:
        raise UnknownNameError("column", column, part.records.column_names)


def _texts(part: Dataset, column: str) -> pa.ChunkedArray:
    """The cells of a column of texts or levels; of the only one where none is named."""
    if not column:
        texts = [c.name for c in part.columns if c.kind == "text"]
        named = texts or [c.name for c in part.columns]
        if len(named) != 1:
            listed = ", ".join(named) or "there is none"
            raise SettingError("column", f"named, as one of {listed}", column)
        column = named[0]
    _known_column(part, column)
    cells = part.records[column]
    if pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type):
        return cells
    if pa.types.is_nested(cells.type) or pa.types.is_binary(cells.type):
        raise SettingError("column", "one of texts or levels", column)
    return level_names(cells)


def _matches(texts: pa.ChunkedArray, regex: str) -> npt.NDArray[np.bool_]:
    found = pc.fill_null(pc.match_substring_regex(texts, regex), False)
    return np.asarray(found.to_numpy(), dtype=np.bool_)
