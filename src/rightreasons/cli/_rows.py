"""How many rows are done: a bar on a terminal, a line now and then elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def counted(name: str, console: Console | None = None) -> Iterator[Callable[[int, int, int], None]]:
    """A function to be called with rows done, in all, and found done; shows them on standard error.

    Args:
        name: what is done.
        console: where to instead.
    """
    console = console or Console(stderr=True, highlight=False)
    started = spoken = monotonic()
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    task = bar.add_task(name, total=None)

    def show(done: int, total: int, found: int) -> None:
        nonlocal spoken
        bar.update(task, completed=done, total=total)
        now = monotonic()
        if not console.is_terminal and (done in (found, total) or now - spoken > _SECONDS_BETWEEN_LINES):
            again = f", {found} found done" if found and done == found else ""
            console.print(
                f"{name}: {done}/{total} rows{again} ({now - started:.0f} s)", soft_wrap=True, markup=False
            )
            spoken = now

    with bar:
        yield show
