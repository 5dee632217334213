"""Manifests as YAML: always the same text for the same values, and nothing that YAML could misread.

Only what manifests consist of: mappings, lists, texts, whole numbers and booleans. A text that
could be taken for anything else is written in quotes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["as_yaml"]

#: Begins with a letter or slash and has nothing in it that YAML gives a meaning to.
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9/_.-]*", re.ASCII)
#: Words that one version of YAML or another reads as something else (`no` is false).
_TAKEN = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def as_yaml(value: Mapping[str, Any]) -> str:
    """The text, keys in the order given.

    >>> print(as_yaml({"kind": "Job", "args": ["--seed", "1"], "spec": {}, "on": True}), end="")
    kind: Job
    args:
      - "--seed"
      - "1"
    spec: {}
    "on": true
    """
    return "\n".join(_lines(value, 0)) + "\n"


def _lines(value: Any, depth: int) -> list[str]:
    before, found = "  " * depth, []
    if isinstance(value, Mapping):
        for key, inner in value.items():
            found += _entry(f"{before}{_scalar(key)}:", inner, depth + 1)
    else:
        for inner in value:
            if not _nested(inner):
                found.append(f"{before}- {_scalar(inner)}")
                continue
            first, *rest = _lines(inner, depth + 1)
            found += [f"{before}- {first.lstrip()}", *rest]
    return found


def _entry(head: str, value: Any, depth: int) -> list[str]:
    return [head, *_lines(value, depth)] if _nested(value) else [f"{head} {_scalar(value)}"]


def _nested(value: Any) -> bool:
    """Whether it takes lines of its own: a list or mapping that is not empty."""
    is_one = isinstance(value, Mapping | Sequence) and not isinstance(value, str)
    return is_one and bool(value)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _TAKEN
        return value if plain else f'"{"".join(map(_sign, value))}"'
    if isinstance(value, bool | int):
        return str(value).lower()
    if isinstance(value, Mapping | Sequence) and not value:
        return "{}" if isinstance(value, Mapping) else "[]"
    raise TypeError(f"A manifest holds no {type(value).__name__}.")


def _sign(sign: str) -> str:
    """A sign within quotes; all but plain ASCII by its number."""
    if " " <= sign <= "~":
        return f"\\{sign}" if sign in '"\\' else sign
    number = ord(sign)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
