"""Pipes that close, terminals, full disks, Ctrl-C, dying workers: what a process meets."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import time

import pytest

PATIENCE_SECONDS = 30


def children(process: subprocess.Popen[bytes], count: int) -> list[int]:
    """Its workers, as soon as there are `count`."""
    path = f"/proc/{process.pid}/task/{process.pid}/children"
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        with open(path, encoding="ascii") as file:
            found = [int(pid) for pid in file.read().split()]
        if len(found) >= count:
            return found
        os.sched_yield()
    raise AssertionError(f"no {count} workers after {PATIENCE_SECONDS} s")


def gone(pids: list[int]) -> bool:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 0)
            return False
    return True


def words(process: subprocess.Popen[bytes]) -> str:
    text = process.stderr.read().decode()
    assert "Traceback" not in text
    assert "Exception ignored" not in text
    return text


def test_a_pipe_that_closes_in_the_middle_of_a_layer_is_a_truncated_layer(start, layers) -> None:
    blob = layers.gzip()
    process = start("hash", "-", stdin=subprocess.PIPE)
    process.stdin.write(blob[:-5])
    process.stdin.close()
    assert words(process).startswith(f"ocifast: -: gzip offset {len(blob) - 5}: truncated inside ")
    assert process.wait() == 4


@pytest.mark.parametrize("arguments", [["ls", "many.tar"], ["ls", "--json", "many.tar"]])
def test_a_reader_that_goes_away_ends_the_listing_quietly_with_141(
    start, layers, arguments
) -> None:
    layers.write("many.tar", layers.tar(*(f"file-{number}" for number in range(20_000))))
    process = start(*arguments)
    process.stdout.readline()
    process.stdout.close()
    assert words(process) == ""
    assert process.wait() == 141


def test_a_reader_that_goes_away_ends_the_workers_too(start, layers) -> None:
    layers.write("large.tar", layers.tar(payload=b"x" * (100 << 20)))
    process = start("hash", "--workers", "2", *["large.tar"] * 40)
    workers = children(process, 2)
    process.stdout.close()
    assert words(process) == ""
    assert process.wait() == 141
    assert gone(workers)


@pytest.mark.parametrize("arguments", [["--help"], ["hash", "--help"], ["--version"], ["ls", "l"]])
def test_output_that_cannot_be_written_is_an_error(ocifast, layers, arguments) -> None:
    layers.gzip("l")
    with open("/dev/full", "wb") as full:
        done = ocifast(*arguments, stdout=full)
    assert (done.code, done.err) == (6, "ocifast: standard output: No space left on device\n")


def closed(descriptor: int):
    return {"preexec_fn": lambda: os.close(descriptor)}


def test_closed_standard_streams_are_survived(ocifast, layers) -> None:
    layers.gzip("l")
    done = ocifast("hash", "-", stdin=None, **closed(0))
    assert (done.code, done.err) == (6, "ocifast: -: Bad file descriptor\n")
    done = ocifast("hash", "l", **closed(1))
    assert (done.code, done.err) == (6, "ocifast: standard output: Bad file descriptor\n")
    assert ocifast("hash", "l", "missing", **closed(2)).code == 3


def test_a_slow_reader_that_made_the_pipe_non_blocking_gets_everything(start, layers) -> None:
    layers.write("many.tar", layers.tar(*(f"file-{number}" for number in range(5_000))))
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    process = start("ls", "many.tar", stdout=writer)
    os.close(writer)
    with open(reader, "rb") as file:
        assert len(file.readlines()) == 5_000
    assert (words(process), process.wait()) == ("", 0)


def on_a_terminal(start, *arguments: str | bytes) -> bytes:
    ours, theirs = pty.openpty()
    process = start(*arguments, stdout=theirs)
    os.close(theirs)
    out = b""
    with contextlib.suppress(OSError):  # EIO is how a terminal says that it was closed
        while piece := os.read(ours, 65536):
            out += piece
    os.close(ours)
    assert process.wait() == 0
    return out


def test_on_a_terminal_names_are_escaped(start, layers) -> None:
    names = [b"\x1b[2J", b"caf\xe9", b"caf\xc3\xa9"]
    for name in names:
        layers.gzip(name)
    lines = on_a_terminal(start, "hash", *names).decode().splitlines()
    assert [line.partition("  ")[2] for line in lines] == [r"\033[2J", r"caf\351", "caf\xe9"]
    assert [line.startswith("\\") for line in lines] == [True, True, False]


def test_hostile_names_in_errors_are_escaped(ocifast) -> None:
    done = ocifast("hash", b"\x1b[2J\n\xff")
    assert (done.code, done.err) == (3, "ocifast: \\033[2J\\n\\377: No such file or directory\n")


def test_results_are_printed_as_soon_as_they_are_there(start, layers, tmp_path) -> None:
    layers.write("first", layers.tar(payload=b"x" * (100 << 20)))
    os.mkfifo(tmp_path / "second")
    process = start("hash", "--workers", "2", "first", "second")
    descriptor = os.open(tmp_path / "second", os.O_WRONLY)
    assert process.stdout.readline().endswith(b"  first\n")  # the second has not begun
    os.write(descriptor, layers.gzip())
    os.close(descriptor)
    assert process.stdout.readline().endswith(b"  second\n")
    assert process.wait() == 0


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize("to_all", [True, False], ids=["group", "parent"])
def test_ctrl_c_exits_with_130_and_leaves_no_worker(start, tmp_path, workers, to_all) -> None:
    os.mkfifo(tmp_path / "fifo")
    process = start("hash", "--workers", workers, "fifo", start_new_session=True)
    descriptor = os.open(tmp_path / "fifo", os.O_WRONLY)  # returns when it is opened over there
    pids = children(process, int(workers))
    if to_all:
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_SECONDS) == 130
    assert words(process) == ""
    assert gone(pids)
    os.close(descriptor)


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["lines", "json"])
def test_a_killed_worker_is_an_error_of_one_line(start, tmp_path, form) -> None:
    os.mkfifo(tmp_path / "fifo")
    process = start("hash", *form, "--workers", "2", "fifo")
    descriptor = os.open(tmp_path / "fifo", os.O_WRONLY)
    pids = children(process, 2)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert process.wait(PATIENCE_SECONDS) == 6
    assert words(process).endswith("no result of this run is complete\n")
    os.close(descriptor)
    if form:
        found = json.loads(process.stdout.read())
        assert (found["path"], found["error"], found["exit_code"]) == (None, "WorkerCrashed", 6)
