"""Bars of a run and of each layer being worked on, drawn by rich.

Loaded only for a terminal, as rich takes longer to import than a small run takes. rich's own
refreshing thread is not used: the engine forks, and a process that does may have but one thread.
Invariant: names reach rich as plain text, never as markup.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Final, cast

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column
from rich.text import Text

from ocifast.cli.quantity import clipped
from ocifast.ops.progress import ImageFinished, Planned

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocifast.cli.progress import Stream
    from ocifast.cli.progress_tally import Tally

__all__ = ["Bars"]

FEWEST_LABEL_COLUMNS: Final = 14
MOST_LABEL_COLUMNS: Final = 34
FIGURE_COLUMNS: Final = 56
"""Kept free for a short bar and whole figures; labels give way first."""

OTHER_ROWS: Final = 3
"""Of the screen: the line of counts, the bar of the run, and the one the cursor is in."""


class Bars:
    """The live display; it is gone when closed, as the table of results follows it."""

    interval = 0.1

    def __init__(self, stream: Stream, doing: str, clock: Callable[[], float]) -> None:
        self._console = Console(
            file=cast("IO[str]", stream),
            force_terminal=True,
            markup=False,
            emoji=False,
            highlight=False,
        )
        self._progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=8)),
            TaskProgressColumn(markup=True),
            DownloadColumn(table_column=Column(no_wrap=True, justify="right")),
            TransferSpeedColumn(table_column=Column(no_wrap=True, justify="right", min_width=10)),
            TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True)),
            console=self._console,
            auto_refresh=False,
            expand=True,
            get_time=clock,
        )
        self._run = self._progress.add_task(doing, total=None)
        self._tasks: dict[str, TaskID] = {}
        self._counts = Text()
        self._live = Live(
            Group(self._counts, self._progress),
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,  # data goes around this, as bytes
        )
        self._live.start()

    def told(self, event: Planned | ImageFinished, tally: Tally) -> bool:
        """Show the plan at once; the rest can wait for the next update."""
        if isinstance(event, Planned):
            self.update(tally)
        return isinstance(event, Planned)

    def update(self, tally: Tally) -> None:
        """Draw everything anew."""
        self._progress.update(self._run, total=tally.size or None, completed=tally.done)
        for key in [key for key in self._tasks if key not in tally.active]:
            self._progress.remove_task(self._tasks.pop(key))
        width, height = self._console.size
        columns = min(max(width - FIGURE_COLUMNS, FEWEST_LABEL_COLUMNS), MOST_LABEL_COLUMNS)
        room = max(1, height - OTHER_ROWS)
        for number, (key, layer) in enumerate(tally.active.items()):
            if key not in self._tasks:
                self._tasks[key] = self._progress.add_task("")
            self._progress.update(
                self._tasks[key],
                total=layer.size,
                completed=layer.done,
                description="  " + clipped(layer.label, columns),
                visible=number < room,
            )
        hidden = len(tally.active) - room
        more = f", {hidden} more being read" if hidden > 0 else ""
        self._counts.plain = (tally.counts() + more)[:width]
        self._live.refresh()

    def close(self) -> None:
        """Take the bars away."""
        self._live.stop()
