"""Where results are printed: the terminal, lines and tables as all commands have them."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["new_console", "new_table", "say"]


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
