"""Names for the things that can be chosen: methods, encoders, modalities, tasks.

A registry fills itself: its first use imports every module of its package, whose decorators
register what they define, and then the entry points of other packages. The command line's
choices, the documentation, the contract tests and the benchmarks all read the same list.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from leaven.core.errors import UnknownNameError

__all__ = ["Registry"]

T = TypeVar("T")
C = TypeVar("C")


class Registry(Generic[T]):
    """A lazily filled mapping from names to things of one kind.

    Parameters
    ----------
    noun : what one entry is called in messages, such as "method".
    packages : dotted names of the packages whose modules register entries when imported.
    group : the entry point group by which other distributions add theirs, `leaven.<noun>s` if
        not given; an entry point names a module to import.

    >>> colours = Registry("colour")
    >>> colours.add("rye", "#7a4a1e")
    '#7a4a1e'
    >>> colours["rey"]
    Traceback (most recent call last):
    leaven.core.errors.UnknownNameError: 'colour' must be one of: rye. Got 'rey'. Did you mean \
'rye'?
    """

    def __init__(self, noun: str, *packages: str, group: str = "") -> None:
        self.noun = noun
        self._group = group or f"leaven.{noun}s"
        self._packages = packages
        self._entries: dict[str, T] = {}
        self._filled = not packages

    def add(self, name: str, entry: T) -> T:
        """Register `entry` under `name`; a second entry of that name is an error."""
        if self._entries.get(name, entry) is not entry:
            raise ValueError(f"two {self.noun}s are named {name!r}")
        self._entries[name] = entry
        return entry

    def register(self, name: str) -> Callable[[type[C]], type[C]]:
        """A decorator for classes: keeps one instance, built without arguments."""

        def keep(cls: type[C]) -> type[C]:
            self.add(name, cls())  # type: ignore[arg-type]  # C is a kind of T, which Python cannot say
            return cls

        return keep

    def __getitem__(self, name: str) -> T:
        self._fill()
        if name not in self._entries:
            raise UnknownNameError(self.noun, name, self._entries)
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        self._fill()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        self._fill()
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        self._fill()
        return len(self._entries)

    def items(self) -> list[tuple[str, T]]:
        """All entries, by name."""
        return [(name, self._entries[name]) for name in self]

    def _fill(self) -> None:
        if self._filled:
            return
        self._filled = True  # before the imports: a module may look up what is registered so far
        try:
            for package in self._packages:
                module = importlib.import_module(package)
                for info in pkgutil.iter_modules(module.__path__, f"{package}."):
                    importlib.import_module(info.name)
            for point in entry_points(group=self._group):
                point.load()
        except BaseException:
            self._filled = False  # or the next look would miss names without saying why
            raise
