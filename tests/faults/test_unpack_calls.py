"""Calls of `unpack` refused, and its process ended, by strace: nothing stands in between.

What fails leaves nothing; what is killed leaves a private folder whose name says what it is.
"""

import os
import signal
import stat
import subprocess

import pytest
from support.canary import Canary
from support.hostile import Ground, layer
from support.merging import BELOW
from support.processes import wait_until
from support.unpacking import COMMAND, command, everything

from ocifast import diff


@pytest.fixture
def ground(tmp_path):
    return Ground(tmp_path)


REFUSED = [
    ("mkdirat", "EIO", 3),
    ("mkdirat", "EIO", 6),
    ("mkdirat", "EIO", 9),
    ("renameat2", "EIO", 1),
    ("renameat2", "ENOSPC", 9),
    ("/^rename", "EROFS", 40),
    ("linkat", "EPERM", 2),
    ("symlinkat", "EIO", 1),
    ("mknodat", "EPERM", 1),
    ("fsetxattr", "ENOSPC", 3),
    ("fchmod", "EIO", 5),
    ("utimensat", "EIO", 7),
]


def traced(oracle, calls, what):
    return (oracle("strace"), "-f", "-qq", "-o", os.devnull, "-e", f"trace={calls}", "-e", what)


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize(("calls", "number", "when"), REFUSED)
def test_a_call_that_is_refused_ends_it_and_leaves_nothing(
    ground, oracle, calls, number, when, keep
) -> None:
    (ground.aside / "layer").write_bytes(layer(*everything()))
    if keep:
        ground.report(BELOW)
    prefix = traced(oracle, calls, f"inject={calls}:error={number}:when={when}")
    options = ["--workers", "0", *["--keep"] * keep]
    code, error = command(ground.aside / "layer", ground.dest, *options, prefix=prefix)
    named = str(ground.dest) if code == 6 else "d1/h"
    assert (code in {4, 6}, error.count("\n"), named in error) == (True, 1, True), error
    ground.canary.check()
    assert keep or not ground.dest.exists()


@pytest.mark.parametrize("calls", ["renameat2", "mkdirat", "linkat", "symlinkat", "mknodat"])
def test_p21_where_two_names_are_one_for_the_file_system_it_is_an_error(
    ground, oracle, calls
) -> None:
    """As of folders in which case does not count: nothing is replaced, nothing followed."""
    (ground.aside / "layer").write_bytes(layer(*everything()))
    when = 9 if calls == "mkdirat" else 1
    prefix = traced(oracle, calls, f"inject={calls}:error=EEXIST:when={when}")
    code, error = command(ground.aside / "layer", ground.dest, "--workers", "0", prefix=prefix)
    assert (code, "File exists" in error, error.count("\n")) == (6, True, 1)
    ground.canary.check()
    assert not ground.dest.exists()


@pytest.mark.parametrize(
    ("calls", "when"), [("mkdirat", 4), ("renameat2", 2), ("/^rename", 40), ("linkat", 1)]
)
@pytest.mark.parametrize("options", [[], ["--force"]])
def test_what_is_killed_leaves_a_private_folder_named_as_such_and_nothing_else(
    ground, oracle, calls, when, options
) -> None:
    (ground.aside / "layer").write_bytes(layer(*everything()))
    if options:
        ground.report(BELOW)
        before = Canary(ground.dest)
    prefix = traced(oracle, calls, f"inject={calls}:signal=KILL:when={when}")
    words = [ground.aside / "layer", ground.dest, *options]
    code, _ = command(*words, "--workers", "0", prefix=prefix)
    assert code in (-signal.SIGKILL, 128 + signal.SIGKILL)
    (left,) = (name for name in os.listdir(ground.work) if ".ocifast-" in name)
    assert left.startswith("root.ocifast-")
    assert stat.S_IMODE(os.lstat(ground.work / left).st_mode) == 0o700
    if options:
        before.check()
    else:
        assert not ground.dest.exists()
    assert command(*words) == (0, "")
    assert [name for name in os.listdir(ground.work) if ".ocifast-" in name] == [left]


@pytest.mark.parametrize("workers", ["0", "2"])
def test_an_interrupt_says_nothing_and_leaves_nothing(ground, workers) -> None:
    fifo = ground.aside / "layer"
    os.mkfifo(fifo)
    words = [*COMMAND, fifo, ground.dest, "--workers", workers]
    with subprocess.Popen(words, stderr=subprocess.PIPE, start_new_session=True) as process:
        data = layer(*everything(400))
        with fifo.open("wb") as pipe:
            pipe.write(data[: len(data) // 2])
            pipe.flush()
            assert wait_until(lambda: any(".ocifast-" in n for n in os.listdir(ground.work)))
            process.send_signal(signal.SIGINT)
            assert process.stderr.read() == b""
        assert process.wait(30) == 130
    ground.canary.check()
    assert not ground.dest.exists()


def test_with_sync_all_is_on_disk_before_it_has_its_name(ground, oracle) -> None:
    (ground.aside / "layer").write_bytes(layer(*everything()))
    trace = ground.aside / "trace"
    calls = ["-e", "trace=syncfs,fsync,/^rename"]
    prefix = (oracle("strace"), "-f", "-qq", "-y", "-o", trace, *calls)
    for options, counted in (([], 0), (["--sync", "--force"], 1)):
        assert command(ground.aside / "layer", ground.dest, *options, prefix=prefix) == (0, "")
        names = [line.split()[1].partition("(")[0] for line in trace.read_text().splitlines()]
        assert names.count("syncfs") == counted
        assert names[-2 * counted :].count("fsync") == counted
        shown = max(at for at, name in enumerate(names) if name.startswith("rename"))
        assert not counted or names.index("syncfs") == shown - 1


def test_where_a_rename_cannot_promise_to_replace_nothing_links_do(ground, oracle) -> None:
    (ground.aside / "layer").write_bytes(layer(*everything()))
    prefix = traced(oracle, "renameat2", "inject=renameat2:error=EINVAL")
    assert command(ground.aside / "layer", ground.dest, "--workers", "0", prefix=prefix) == (0, "")
    ground.canary.check()
    truth = ground.aside / "truth"
    assert command(ground.aside / "layer", truth) == (0, "")
    assert not diff(ground.dest, truth)
