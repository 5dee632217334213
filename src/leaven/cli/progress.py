"""What long work says, drawn: one live line on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Column

from leaven.cli.words import plain
from leaven.core.progress import Listener, Progress
from leaven.core.wording import percent, roughly

__all__ = ["ACCENT", "progress_line", "sentence"]

#: Ours is always the colour of crust.
ACCENT = "#c2703d"

_SECONDS_BETWEEN_LINES = 5.0


@contextlib.contextmanager
def progress_line(*, quiet: bool) -> Iterator[Listener | None]:
    """A listener for `Progress`, drawn on stderr while the block runs.

    Nothing is drawn, and the listener is None, where `quiet` and stderr is no terminal.
    Whatever other packages print meanwhile goes to stderr too: stdout is for the result.
    """
    with contextlib.redirect_stdout(sys.stderr):
        if sys.stderr.isatty():
            with _live_line() as listener:
                yield listener
        elif quiet:
            yield None
        else:
            yield _plain_lines(time.monotonic)


def sentence(progress: Progress) -> str:
    r"""One line of progress in words.

    >>> said = sentence(Progress("train", 3, 4, 130.0, {"accuracy": 0.71, "baseline": 0.64}))
    >>> said.replace("\u202f", " ")
    'train · 75 % · accuracy 71.0 % (baseline 64.0 %) · 2 min left'
    """
    parts = [plain(progress.stage)]
    if progress.total > 0:
        parts.append(percent(min(1.0, progress.done / progress.total), 0))
    parts += [_figures(progress), _left(progress), plain(progress.message)]
    return " · ".join(part for part in parts if part)


def _figures(progress: Progress) -> str:
    """Ours with the baseline beside it, then the others."""
    said = {name: f"{plain(name)} {percent(value)}" for name, value in progress.figures.items()}
    if "accuracy" in said and "baseline" in said:
        said["accuracy"] += f" ({said.pop('baseline')})"
    return " · ".join(said.values())


def _left(progress: Progress) -> str:
    return "" if progress.seconds_left is None else f"{roughly(progress.seconds_left)} left"


@contextlib.contextmanager
def _live_line() -> Iterator[Listener]:
    def text(field: str, style: str) -> TextColumn:
        column = Column(no_wrap=True, overflow="ellipsis")
        return TextColumn(f"{{task.{field}}}", style, markup=False, table_column=column)

    columns = (
        text("description", "bold"),
        BarColumn(bar_width=12, complete_style=ACCENT, finished_style=ACCENT),
        text("fields[figures]", "none"),
        text("fields[left]", "dim"),
        text("fields[message]", "dim"),
    )
    console = Console(stderr=True, highlight=False, emoji=False)
    with Bar(*columns, console=console, transient=True, refresh_per_second=4) as bar:
        task = bar.add_task("starting", total=None, figures="", left="", message="")

        def draw(progress: Progress) -> None:
            bar.update(
                task,
                description=plain(progress.stage),
                total=progress.total or None,
                completed=progress.done,
                figures=_figures(progress),
                left=_left(progress),
                message=plain(progress.message),
            )

        yield draw


def _plain_lines(clock: Callable[[], float]) -> Listener:
    spoken: float | None = None

    def say(progress: Progress) -> None:
        nonlocal spoken
        now = clock()
        if spoken is None or now - spoken >= _SECONDS_BETWEEN_LINES:
            spoken = now
            sys.stderr.write(sentence(progress) + "\n")
            sys.stderr.flush()

    return say
