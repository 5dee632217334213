"""Where results are printed: the terminal, lines and tables as all commands have them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from leaven.cli.words import plain

__all__ = ["new_console", "new_table", "print_rows", "say"]


def new_console() -> Console:
    """Stdout; wide enough for a table where it is no terminal, and never coloured there."""
    width = None if sys.stdout.isatty() else 120
    return Console(markup=False, highlight=False, emoji=False, width=width)


def say(console: Console, text: str | Text, style: str = "", *, whole: bool = False) -> None:
    """Print a line. What is `whole`, a path, is not broken, nor is anything in a file."""
    console.print(text, style=style, soft_wrap=whole or not console.is_terminal)


def new_table(*heads: str) -> Table:
    """A table without borders."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for head in heads:
        table.add_column(head, overflow="fold")
    return table


def print_rows(console: Console, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table of cells that may come from anywhere; nothing where there are no rows."""
    table = new_table(*heads)
    for row in rows:
        table.add_row(*(plain(cell) for cell in row))
    if rows:
        console.print(table)
