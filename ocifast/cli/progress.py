"""Progress on stderr: bars on a terminal, lines in a log, nothing when asked to be quiet.

With rich installed a terminal gets a bar for the run and one for each layer being worked on
(`progress_bars`), else a line that is updated; anything that is no terminal gets lines that stay.
Invariant: a run is never slowed down, changed or ended by its display: updates are limited to ten
a second, no thread is started, and a stderr that breaks is just not written to any more.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from typing import TYPE_CHECKING, Final, Protocol, Self, TextIO

from ocifast.cli.output import printable
from ocifast.cli.progress_tally import Tally
from ocifast.cli.quantity import duration_text, ratio_text, size_text
from ocifast.ops.progress import ImageFinished, Planned

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocifast.ops.progress import Event

__all__ = ["Lines", "ProgressDisplay", "StatusLine", "View", "open_progress"]

REDRAW_SECONDS: Final = 0.1
HEARTBEAT_SECONDS: Final = 10.0


class View(Protocol):
    """One way to show a tally."""

    interval: float
    """Seconds between two updates, at least."""

    def told(self, event: Planned | ImageFinished, tally: Tally) -> bool:
        """Show what is worth it at once; whether that was anything."""

    def update(self, tally: Tally) -> None:
        """Show where things are."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class Stream:
    """A text stream that breaks in silence; rich takes it for a file."""

    def __init__(self, stream: TextIO) -> None:
        self._stream: TextIO | None = stream
        self.encoding = getattr(stream, "encoding", None) or "ascii"

    def write(self, text: str) -> int:
        """Write, if that still works."""
        if self._stream is not None:
            try:
                self._stream.write(text)
            except (OSError, ValueError):  # ValueError: it was closed
                self._stream = None
        return len(text)

    def flush(self) -> None:
        """Flush, if that still works."""
        if self._stream is not None:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._stream = None

    def isatty(self) -> bool:
        """Whether a person looks at it."""
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """Give its descriptor.

        Raises:
            OSError: It has none, or is broken.
        """
        if self._stream is None:
            raise OSError("the stream is broken")
        return self._stream.fileno()

    def columns(self) -> int:
        """Give the width of the terminal."""
        try:
            return os.get_terminal_size(self.fileno()).columns or 80
        except (OSError, ValueError):
            return 80


class ProgressDisplay:
    """What `convert` and `verify` call with each event; close it, or use it in a ``with``."""

    def __init__(self, view: View | None, clock: Callable[[], float]) -> None:
        self._view = view
        self._clock = clock
        self._tally = Tally()
        self._shown = clock()  # nothing is known yet, and much of a run is over at once

    def __call__(self, event: Event) -> None:
        """Take an event."""
        view = self._view
        if view is None:
            return
        self._tally.take(event)
        now = self._clock()
        if isinstance(event, (Planned, ImageFinished)):
            self._tally.sample(now)
            if view.told(event, self._tally):
                self._shown = now
        if now - self._shown >= view.interval:
            self._shown = now
            self._tally.sample(now)
            view.update(self._tally)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the display away; events are ignored from now on."""
        view, self._view = self._view, None
        if view is not None:
            view.close()


class Lines:
    """Lines that stay: the plan, each image, and a sign of life every ten seconds of silence."""

    interval = HEARTBEAT_SECONDS

    def __init__(self, stream: Stream, doing: str, *, plan: bool = True) -> None:
        self._stream = stream
        self._doing = doing
        self._begun = not plan

    def told(self, event: Planned | ImageFinished, tally: Tally) -> bool:
        """Say what there is to do, once, and what became of an image."""
        if isinstance(event, ImageFinished):
            self._say(_image_line(event, tally))
            return True
        begins, self._begun = not self._begun, True
        if begins:
            self._say(f"{self._doing} {_plan_words(event)}")
        return begins

    def update(self, tally: Tally) -> None:
        """Say where things are."""
        self._say(f"{self._doing}: {tally.amounts()}; {tally.counts()}")

    def close(self) -> None:
        """Do nothing: lines stay."""

    def _say(self, message: str) -> None:
        self._stream.write(f"ocifast: {printable(message)}\n")
        self._stream.flush()


class StatusLine:
    """One line that is written over and over, for a terminal without rich."""

    interval = REDRAW_SECONDS

    def __init__(self, stream: Stream, doing: str) -> None:
        self._stream = stream
        self._doing = doing

    def told(self, event: Planned | ImageFinished, tally: Tally) -> bool:
        """Show the plan at once; the rest can wait for the next update."""
        if isinstance(event, Planned):
            self.update(tally)
        return isinstance(event, Planned)

    def update(self, tally: Tally) -> None:
        """Write the line anew."""
        text = f"{self._doing}: {tally.amounts()}; {tally.counts()}"
        # One column stays free: a terminal would move on to the next line.
        self._stream.write(f"\r{text[: self._stream.columns() - 1]}\x1b[K")
        self._stream.flush()

    def close(self) -> None:
        """Wipe the line."""
        self._stream.write("\r\x1b[K")
        self._stream.flush()


def open_progress(
    stream: TextIO | None = None,
    *,
    quiet: bool = False,
    doing: str = "converting",
    plan: bool = True,
    clock: Callable[[], float] = time.monotonic,
) -> ProgressDisplay:
    """Open the display that suits the stream (stderr by default).

    Without `plan` a log is told nothing of what is over within ten seconds.

    Example:
        >>> with open_progress(quiet=True) as progress:
        ...     progress(Planned(1, 1, 1000, 0, 0, 0))
    """
    stream = sys.stderr if stream is None else stream
    if quiet or stream is None:
        return ProgressDisplay(None, clock)
    return ProgressDisplay(_view(Stream(stream), doing, clock, plan=plan), clock)


def _view(stream: Stream, doing: str, clock: Callable[[], float], *, plan: bool) -> View:
    try:
        terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
    except ValueError:  # it was closed
        terminal = False
    if not terminal:
        return Lines(stream, doing, plan=plan)
    if importlib.util.find_spec("rich") is None:
        return StatusLine(stream, doing)
    from ocifast.cli.progress_bars import Bars

    return Bars(stream, doing, clock)


def _plan_words(plan: Planned) -> str:
    text = f"{_many(plan.images, 'image')}: {_many(plan.layers, 'layer')}, {size_text(plan.size)}"
    if plan.shared_layers:
        text += f"; {plan.shared_layers} shared ({size_text(plan.shared_size)} saved)"
    if plan.resumed_layers:
        text += f"; {plan.resumed_layers} done by an earlier run"
    return text


def _image_line(event: ImageFinished, tally: Tally) -> str:
    head = event.image
    if tally.planned.images:  # else it is not known yet how many there are
        head = f"[{tally.images}/{max(tally.planned.images, tally.images)}] {head}"
    if event.error is not None:
        return f"{head}: failed: {event.error}"
    layers = _many(event.layers, "layer")
    if event.shared_layers:
        layers += f" ({event.shared_layers} shared)"
    sizes = size_text(event.size_before)
    if event.size_after != event.size_before:
        ratio = event.size_after / event.size_before if event.size_before else None
        sizes += f" -> {size_text(event.size_after)} ({ratio_text(ratio)})"
    return f"{head}: {layers}, {sizes}, {duration_text(event.seconds)}"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
