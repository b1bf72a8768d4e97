"""The display of a run: lines in a log, a line or bars on a terminal, never a broken run."""

import io
import os
import re
import subprocess
import sys
import termios
from collections.abc import Iterator

import pytest

from ocifast.cli import progress as module
from ocifast.cli.progress import open_progress
from ocifast.cli.progress_tally import Tally
from ocifast.ops.progress import (
    ImageFinished,
    LayerAdvanced,
    LayerFinished,
    LayerStarted,
    Planned,
)

HOSTILE = "a\x1b]0;owned\x07[bold]\nocifast: fake\u202e:smile:\udcff"
KEY = "sha256:" + "4f" * 32
OTHER = "sha256:" + "b0" * 32
MB = 1_000_000
PLAN = Planned(2, 2, 100 * MB, 3, 500 * MB, 1)
FINISHED = ImageFinished("app:1", 3, 1, 80 * MB, 60 * MB, 2.5, None)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Terminal:
    """A pty; what is written to it can be read back."""

    def __init__(self) -> None:
        self.ours, theirs = os.openpty()
        termios.tcsetwinsize(theirs, (24, 100))
        raw = io.FileIO(theirs, "w")
        self.stream = io.TextIOWrapper(raw, "utf-8", "backslashreplace", write_through=True)
        os.set_blocking(self.ours, False)

    def read(self) -> str:
        self.stream.flush()
        found = b""
        try:
            while piece := os.read(self.ours, 1 << 16):
                found += piece
        except OSError:
            pass
        return found.decode()

    def close(self) -> None:
        self.stream.close()
        os.close(self.ours)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "24")
    found = Terminal()
    yield found
    found.close()


@pytest.fixture
def no_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)


def bare(text: str) -> str:
    """What is left to read without the escape sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_log_gets_the_plan_and_each_image(clock) -> None:
    out = io.StringIO()
    with open_progress(stream=out, clock=clock) as progress:
        progress(PLAN)
        progress(LayerStarted(KEY, "app.tar", 60 * MB))
        progress(LayerAdvanced(KEY, 10 * MB, 0))
        progress(LayerFinished(KEY, 60 * MB, 50 * MB, 1.0, None))
        progress(FINISHED)
        progress(ImageFinished("bad.tar", 0, 0, 0, 0, 0.1, "it is cut off"))
    assert out.getvalue() == (
        "ocifast: converting 2 images: 2 layers, 100.0 MB; 3 shared (500.0 MB saved); "
        "1 done by an earlier run\n"
        "ocifast: [1/2] app:1: 3 layers (1 shared), 80.0 MB -> 60.0 MB (75.0 %), 2.5 s\n"
        "ocifast: [2/2] bad.tar: failed: it is cut off\n"
    )


def test_a_log_gets_a_heartbeat_after_ten_seconds_of_silence_and_not_before(clock) -> None:
    out = io.StringIO()
    progress = open_progress(stream=out, clock=clock)
    progress(PLAN)
    progress(LayerStarted(KEY, "app.tar", 60 * MB))
    for second in range(25):
        clock.now += 1
        progress(LayerAdvanced(KEY, second * MB, 0))
        if second == 14:
            progress(FINISHED)
    rest = "images, 0/2 layers, 3 shared (500.0 MB saved), 1 done earlier"
    beats = [line for line in out.getvalue().splitlines() if "converting:" in line]
    assert beats == [
        f"ocifast: converting: 9 %, 9.0 MB of 100.0 MB, 900.0 kB/s, 1m41s left; 0/2 {rest}",
        f"ocifast: converting: 24 %, 24.0 MB of 100.0 MB, 1.0 MB/s, 1m16s left; 1/2 {rest}",
    ]


def test_of_a_stream_no_totals_are_told_while_there_are_none(clock) -> None:
    out = io.StringIO()
    progress = open_progress(stream=out, clock=clock)
    progress(LayerStarted(KEY, "-", 60 * MB))
    assert out.getvalue() == ""
    clock.now += 11
    progress(LayerAdvanced(KEY, 30 * MB, 0))
    assert out.getvalue().endswith("; 0 images, 0 layers\n")


def test_a_plan_that_is_told_again_is_not_a_second_line(clock) -> None:
    out = io.StringIO()
    progress = open_progress(stream=out, clock=clock)
    progress(Planned(1, 1, 0, 0, 0, 0))
    progress(PLAN)
    assert out.getvalue() == "ocifast: converting 1 image: 1 layer, 0 B\n"


def test_a_verification_says_so_and_tells_one_size(clock) -> None:
    out = io.StringIO()
    progress = open_progress(stream=out, clock=clock, doing="verifying")
    progress(Planned(1, 1, 5, 0, 0, 0))
    progress(ImageFinished("app:1", 1, 0, 5, 5, 0.5, None))
    assert out.getvalue() == (
        "ocifast: verifying 1 image: 1 layer, 5 B\nocifast: [1/1] app:1: 1 layer, 5 B, 500 ms\n"
    )


def test_hostile_names_make_one_printable_line_in_a_log(clock) -> None:
    out = io.StringIO()
    progress = open_progress(stream=out, clock=clock)
    progress(ImageFinished(HOSTILE, 1, 0, 1, 1, 0.5, None))
    progress(ImageFinished("b", 1, 0, 1, 1, 0.5, HOSTILE))
    first, second, rest = out.getvalue().split("\n")
    assert first.isprintable()
    assert second.isprintable()
    assert rest == ""


def test_quiet_means_nothing(terminal, clock) -> None:
    with open_progress(quiet=True, stream=terminal.stream, clock=clock) as progress:
        progress(PLAN)
        progress(FINISHED)
    assert terminal.read() == ""


def test_a_process_without_stderr_shows_nothing(monkeypatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with open_progress() as progress:
        progress(PLAN)


def test_a_terminal_gets_a_bar_for_the_run_and_one_for_each_active_layer(terminal, clock) -> None:
    with open_progress(stream=terminal.stream, clock=clock) as progress:
        progress(PLAN)
        assert "0/2 images, 0/2 layers, 3 shared (500.0 MB saved), 1 done earlier" in (
            bare(terminal.read())
        )
        progress(LayerStarted(KEY, "/srv/app.tar", 60 * MB))
        progress(LayerStarted(OTHER, "/srv/other.tar", 40 * MB))
        for second in range(1, 4):
            clock.now += 1
            terminal.read()
            progress(LayerAdvanced(KEY, second * 10 * MB, 0))
        lines = bare(terminal.read()).splitlines()
        assert re.search(r"^converting .*━.* 30% .*30.0/100.0 MB .*MB/s \d\d:\d\d", lines[-3])
        assert re.search(r"^  4f4f4f4f4f4f app.tar .*50%  30.0/60.0 MB +10.0 MB/s 00:03", lines[-2])
        assert re.search(r"^  b0b0b0b0b0b0 other.tar .* 0%", lines[-1])
        progress(LayerFinished(KEY, 60 * MB, 50 * MB, 4.0, None))
        clock.now += 1
        progress(LayerAdvanced(OTHER, MB, 0))
        drawn = bare(terminal.read())
        assert "1/2 layers" in drawn
        assert "app.tar" not in drawn.replace("other.tar", "")
    assert "\x1b[?25h" in terminal.read(), "the cursor is back"
    assert sys.stderr is not None


def test_bars_are_drawn_at_most_ten_times_a_second(terminal, clock) -> None:
    with open_progress(stream=terminal.stream, clock=clock) as progress:
        progress(PLAN)
        progress(LayerStarted(KEY, "app.tar", 60 * MB))
        terminal.read()
        for done in range(1000):
            clock.now += 0.001
            progress(LayerAdvanced(KEY, done, 0))
        assert 5 <= terminal.read().count("converting") <= 10


def test_more_layers_than_rows_do_not_scroll_the_screen(terminal, clock) -> None:
    with open_progress(stream=terminal.stream, clock=clock) as progress:
        progress(PLAN)
        terminal.read()
        for number in range(40):
            progress(LayerStarted(f"sha256:{number:064x}", "app.tar", MB))
        clock.now += 1
        progress(LayerAdvanced(f"sha256:{0:064x}", 1, 0))
        drawn = bare(terminal.read())
        assert drawn.count("\n") < 24 - 1
        assert "19 more being read" in drawn


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 200])
def test_bars_fit_every_width(terminal, clock, monkeypatch, columns) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    with open_progress(stream=terminal.stream, clock=clock) as progress:
        progress(PLAN)
        progress(LayerStarted(KEY, "a" * 100, 60 * MB))
        clock.now += 1
        progress(LayerAdvanced(KEY, MB, 0))
        assert max(map(len, bare(terminal.read()).splitlines())) <= columns


def test_no_color_is_respected(terminal, clock, monkeypatch) -> None:
    def colors() -> set[str]:
        with open_progress(stream=terminal.stream, clock=clock) as progress:
            progress(PLAN)
            progress(LayerStarted(KEY, "app.tar", 60 * MB))
            clock.now += 1
            progress(LayerAdvanced(KEY, MB, 0))
        return set(re.findall(r"\x1b\[[0-9;]*(?:3[0-8]|9[0-7])[0-9;]*m", terminal.read()))

    assert colors()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colors()


def test_a_dumb_terminal_gets_lines(terminal, clock, monkeypatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with open_progress(stream=terminal.stream, clock=clock) as progress:
        progress(FINISHED)
    assert terminal.read().startswith("ocifast: app:1: 3 layers")


@pytest.mark.parametrize("rich", [True, False])
def test_hostile_names_cannot_steer_a_terminal(terminal, clock, request, rich) -> None:
    if not rich:
        request.getfixturevalue("no_rich")
    with open_progress(stream=terminal.stream, clock=clock) as progress:
        progress(PLAN)
        progress(LayerStarted(f"place {HOSTILE}", HOSTILE, 60 * MB))
        clock.now += 1
        progress(LayerAdvanced(f"place {HOSTILE}", MB, 0))
    seen = bare(terminal.read())
    assert not re.search("[^\n\r -~━╸╺]", seen)
    assert not rich or ":smile:" in seen


def test_without_rich_a_terminal_gets_one_line_that_is_updated(terminal, clock, no_rich) -> None:
    with open_progress(stream=terminal.stream, clock=clock) as progress:
        progress(PLAN)
        progress(LayerStarted(KEY, "app.tar", 60 * MB))
        for second in range(3):
            clock.now += 1
            progress(LayerAdvanced(KEY, second * 20 * MB, 0))
    seen = terminal.read()
    assert "\n" not in seen
    last = seen.split("\r")[-2]
    assert last.startswith("converting: 40 %, 40.0 MB of 100.0 MB, 13.3 MB/s, ")
    assert len(bare(last)) == 99, "the last column stays free"
    assert seen.endswith("\r\x1b[K"), "nothing is left of it"


class Broken(io.StringIO):
    """A terminal that goes away after a few writes."""

    def __init__(self, error: Exception, terminal: bool) -> None:
        super().__init__()
        self.error, self.terminal, self.left = error, terminal, 2

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:
        self.left -= 1
        if self.left < 0:
            raise self.error
        return super().write(text)


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(28, "full"), ValueError("closed")])
@pytest.mark.parametrize("kind", ["log", "bars", "line"])
def test_a_stderr_that_breaks_does_not_break_the_run(terminal, clock, request, error, kind) -> None:
    if kind == "line":
        request.getfixturevalue("no_rich")
    before = sys.stderr
    with open_progress(stream=Broken(error, kind != "log"), clock=clock) as progress:
        progress(PLAN)
        for number in range(20):
            clock.now += 20
            progress(LayerStarted(KEY, "app.tar", 60 * MB))
            progress(LayerAdvanced(KEY, number * MB, 0))
            progress(FINISHED)
    assert sys.stderr is before


def test_a_stream_that_is_closed_is_no_terminal(clock) -> None:
    stream = io.StringIO()
    stream.close()
    with open_progress(stream=stream, clock=clock) as progress:
        progress(FINISHED)


def test_rich_and_threads_are_no_part_of_a_log() -> None:
    code = (
        "import sys, threading\n"
        "from ocifast.cli.progress import open_progress\n"
        "from ocifast.ops.progress import Planned\n"
        "with open_progress() as progress: progress(Planned(1, 1, 1, 0, 0, 0))\n"
        "sys.exit('rich' in sys.modules or threading.active_count() > 1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], check=False, capture_output=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (
        0,
        b"ocifast: converting 1 image: 1 layer, 1 B\n",
    )


def test_a_layer_that_is_read_again_from_another_copy_counts_once() -> None:
    tally = Tally()
    tally.take(Planned(1, 1, 10, 0, 0, 0))
    for _ in range(3):
        tally.take(LayerStarted(KEY, "app.tar", 10))
        tally.take(LayerAdvanced(KEY, 7, 0))
        assert (tally.done, tally.layers) == (7, 0)
        tally.take(LayerFinished(KEY, 10, 0, 1.0, "it is cut off"))
    assert (tally.done, tally.size, tally.layers, tally.percent) == (10, 10, 1, 100)


def test_what_is_done_never_exceeds_what_there_is() -> None:
    tally = Tally()
    tally.take(Planned(1, 1, 10, 0, 0, 0))
    tally.take(LayerStarted(KEY, "app.tar", 10))
    tally.take(LayerAdvanced(KEY, 99, 0))
    assert tally.percent == 100
    tally.take(LayerStarted(OTHER, "app.tar", 30))  # the plan did not know it
    assert (tally.size, tally.percent) == (40, 25)


def test_events_of_layers_nobody_started_are_ignored() -> None:
    tally = Tally()
    tally.take(LayerAdvanced(KEY, 99, 0))
    assert tally.done == 0


def test_the_speed_is_that_of_the_last_seconds() -> None:
    tally = Tally()
    tally.take(Planned(1, 1, 1000, 0, 0, 0))
    tally.take(LayerStarted(KEY, "app.tar", 1000))
    for second in range(60):
        tally.take(LayerAdvanced(KEY, min(second, 30) * 10, 0))
        tally.sample(second)
    assert tally.speed is None, "it has stalled for longer than the window"


def test_a_failed_image_is_counted_at_once(clock) -> None:
    tally = Tally()
    tally.take(Planned(2, 0, 0, 0, 0, 0))
    tally.take(ImageFinished("bad.tar", 0, 0, 0, 0, 0.1, "it is cut off"))
    assert tally.counts() == "1/2 images (1 failed), 0/0 layers"
