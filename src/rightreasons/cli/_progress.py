"""Progress: a live bar on a terminal, occasional lines elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from rightreasons.runs import Progress as RunProgress

_SECONDS_BETWEEN_LINES = 10.0
_FITS_THAT_TELL = 4  # the first wait for their processes to start
_VERBS = {"train": "training", "examine": "measuring"}


@contextmanager
def counted(name: str, console: Console | None = None) -> Iterator[Callable[..., None]]:
    """Shows how far work without stages is; yields a function (done, total, found=0).

    Args:
        name: what is done.
        console: where to; None: standard error.
    """
    console = console or Console(stderr=True, highlight=False)
    started = spoken = monotonic()
    with _bars(console) as bars:
        bar = bars.add_task(name, total=None)

        def show(done: int, total: int, found: int = 0) -> None:
            nonlocal spoken
            bars.update(bar, completed=done, total=total)
            now = monotonic()
            if not console.is_terminal and (done in (found, total) or now - spoken > _SECONDS_BETWEEN_LINES):
                again = f", {found} found done" if found and done == found else ""
                console.print(
                    f"{name}: {done}/{total} rows{again} ({now - started:.0f} s)",
                    soft_wrap=True,
                    markup=False,
                )
                spoken = now

        yield show


def _bars(console: Console, *more: ProgressColumn) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        *more,
        console=console,
        disable=not console.is_terminal,
        speed_estimate_period=24
        * 3600,  # fits may take longer than the half minute that is remembered otherwise
    )


class Display:
    """Shows how far a run is; called with its progress.

    Args:
        name: of the recipe.
        console: where to; None: standard error, so that results can be piped.
    """

    def __init__(self, name: str, console: Console | None = None) -> None:
        self.name = name
        self.console = console or Console(stderr=True, highlight=False)
        self.live = self.console.is_terminal
        self.bars = _bars(self.console, TextColumn("{task.fields[last]}", style="dim"))
        self.tasks: dict[str, TaskID] = {}
        self.begun: dict[str, float] = {}
        self.started = self.spoken = monotonic()

    def __enter__(self) -> "Display":
        self.bars.start()
        self._say("starting")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()
        if kind is None:
            self._say("finished")

    def __call__(self, progress: RunProgress) -> None:
        """Show it."""
        verb = _VERBS.get(progress.stage, progress.stage)
        if progress.stage not in self.tasks:
            found = f", {progress.found} found finished" if progress.found else ""
            self.begun[progress.stage] = monotonic()
            self.tasks[progress.stage] = self.bars.add_task(
                f"{self.name}: {verb}", total=progress.total, completed=progress.found, last=""
            )
            if progress.last is None:
                self._say(f"{verb} {progress.total} fits{found}")
        last = "" if progress.last is None else f"{progress.last.arm}, split {progress.last.split + 1}"
        self.bars.update(self.tasks[progress.stage], completed=progress.done, last=last)
        if not self.live and (
            progress.done == progress.total or monotonic() - self.spoken > _SECONDS_BETWEEN_LINES
        ):
            self._say(
                f"{verb} {progress.done}/{progress.total}{self._left(progress)}, {last}".removesuffix(", ")
            )

    def _left(self, progress: RunProgress) -> str:
        """How long the stage will take from here, at the speed so far, of which the first fits tell little."""
        new = progress.done - progress.found
        if progress.done == progress.total or new < _FITS_THAT_TELL:
            return ""
        seconds = (monotonic() - self.begun[progress.stage]) / new * (progress.total - progress.done)
        return f", about {about(seconds)} left"

    def _say(self, what: str) -> None:
        self.spoken = monotonic()
        if not self.live:
            self.console.print(
                f"{self.name}: {what} ({self.spoken - self.started:.0f} s)", soft_wrap=True, markup=False
            )


def about(seconds: float) -> str:
    """A time in the unit people would use.

    >>> about(42.0), about(200.0), about(9000.0)
    ('42 s', '3 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
