"""Rules as a TOML file: words, patterns and thresholds, nothing that runs.

    classes = ["ham", "spam"]        # may be left out

    [[rule]]
    kind = "keyword"
    words = ["win", "prize"]
    label = "spam"
    column = "text"                  # may be left out where there is one text column
    whole_words = true               # may be left out, and so may ignore_case = true
    name = "money"                   # may be left out; names must differ

    [[rule]]
    kind = "pattern"
    regex = '(?i)call \\+?[0-9]{8,}'
    label = "spam"

    [[rule]]
    kind = "threshold"
    column = "length"
    operator = "<"                   # <, <=, >, >=, == or !=
    value = 20
    label = "ham"

A key that is not known is an error.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from leaven.core.errors import SettingError, UnknownNameError
from leaven.label.rules.rule import Keyword, Pattern, Rule, Threshold

__all__ = ["RuleFile", "parse_rules", "read_rules"]

_KINDS: dict[str, type[Keyword | Pattern | Threshold]] = {
    "keyword": Keyword, "pattern": Pattern, "threshold": Threshold,
}  # fmt: skip


@dataclass(frozen=True)
class RuleFile:
    """The rules of a file, the classes it names (None where it names none), and a short digest
    of its text, which is another for other rules."""

    rules: tuple[Rule, ...]
    classes: tuple[str, ...] | None
    digest: str


def read_rules(path: str | Path) -> RuleFile:
    """Read a file of rules; raises SettingError, and UnknownNameError for an unknown key."""
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as missing:
        raise SettingError("rules", "a readable TOML file", str(path)) from missing
    return parse_rules(text)


def parse_rules(text: str) -> RuleFile:
    """The rules that a TOML text describes.

    >>> parse_rules('[[rule]]\\nkind = "keyword"\\nwords = ["win"]\\nlabel = "spam"').rules[0].label
    'spam'
    >>> parse_rules('[[rule]]\\nkind = "keyword"\\nwrods = ["win"]\\nlabel = "spam"')
    Traceback (most recent call last):
    leaven.core.errors.UnknownNameError: 'key of rule 1' must be one of: column, ignore_case, \
kind, label, name, whole_words, words. Got 'wrods'. Did you mean 'words'?
    """
    try:
        told = tomllib.loads(text)
    except tomllib.TOMLDecodeError as broken:
        raise SettingError("rules", "valid TOML", str(broken)) from None
    for key in told:
        if key not in ("classes", "rule"):
            raise UnknownNameError("key of the rules", key, ("classes", "rule"))
    listed = told.get("rule", [])
    if not (isinstance(listed, list) and listed and all(isinstance(one, dict) for one in listed)):
        raise SettingError("rule", "tables, each under [[rule]], at least one", listed)
    classes = told.get("classes")
    if classes is not None and not (
        isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    ):
        raise SettingError("classes", "a list of names", classes)
    rules = tuple(_rule(one, number) for number, one in enumerate(listed, start=1))
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return RuleFile(rules, None if classes is None else tuple(classes), digest)


def _rule(told: dict[str, Any], number: int) -> Rule:
    kind = told.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise UnknownNameError(f"kind of rule {number}", str(kind), _KINDS)
    made = _KINDS[kind]
    known = {field.name: field for field in fields(made)}
    for key in told:
        if key not in known and key != "kind":
            raise UnknownNameError(f"key of rule {number}", key, [*known, "kind"])
    for key, field in known.items():
        if field.default is MISSING and key not in told:
            raise SettingError(f"rule {number}", f"one with '{key}'", told)
    return made(**{key: value for key, value in told.items() if key != "kind"})
