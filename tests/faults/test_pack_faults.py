"""Packing while things go wrong: a full disk, a kill, a tree that changes, a tree that is huge."""

import contextlib
import os
import signal
import subprocess
import sys
import threading

import pytest
from support.packing import make_tree, pack
from support.processes import wait_until

from ocifast import LimitExceeded, TreeError, hash_layer

COMMAND = [sys.executable, "-P", "-m", "ocifast", "pack"]


@pytest.fixture
def tree(tmp_path):
    return make_tree(tmp_path / "tree", files=60, size=90_000)


def test_a_run_that_is_killed_leaves_no_file(tree, tmp_path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    command = [*COMMAND, "-q", tree, "-o", out / "layer", "--level", "12", "--workers", "0"]
    with subprocess.Popen(command, start_new_session=True) as process:
        assert wait_until(lambda: os.path.exists(f"/proc/{process.pid}/fd/3"))
        process.send_signal(signal.SIGKILL)
    assert os.listdir(out) == []


def test_an_interrupt_is_no_traceback(tree, tmp_path) -> None:
    command = [*COMMAND, "-q", tree, "-o", tmp_path / "layer", "--level", "12", "--workers", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        assert wait_until(lambda: os.path.exists(f"/proc/{process.pid}/fd/5"))
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert b"Traceback" not in error
    assert sorted(os.listdir(tmp_path)) == ["tree"]


def test_a_full_pipe_reader_that_goes_away_is_said_and_nothing_hangs(tree) -> None:
    command = [*COMMAND, "-q", tree, "-o", "-", "--compress", "none"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(1000)
        process.stdout.close()
        error = process.stderr.read()
        assert process.wait(60) != 0
    assert b"Traceback" not in error


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_cannot_be_read_is_named(tree, tmp_path) -> None:
    (tree / "etc/empty").write_text("secret")
    (tree / "etc/empty").chmod(0)
    with pytest.raises(PermissionError) as caught:
        pack(tree, tmp_path / "out")
    assert caught.value.filename == str(tree / "etc/empty")
    assert sorted(os.listdir(tmp_path)) == ["tree"]


def test_a_tree_that_changes_all_the_time_gives_a_layer_or_an_error_that_names_a_file(
    tree, tmp_path
) -> None:
    """Whatever it gives, it is never a broken tar: the strict reader has seen all of it."""
    stop = threading.Event()
    victim = tree / "etc/file0.txt"

    def change() -> None:
        while not stop.is_set():
            with victim.open("ab") as file:
                file.write(b"x" * 1000)
            os.truncate(victim, 500)
            victim.unlink()
            victim.write_bytes(bytes(90_000))

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for number in range(20):
            with contextlib.suppress(TreeError, FileNotFoundError):
                pack(tree, tmp_path / str(number), recipe="gzip-isal")
                hash_layer(tmp_path / str(number), profile="strict")
    finally:
        stop.set()
        thread.join()


def test_a_small_disk_is_said_to_be_full_and_nothing_is_left(tree, tmp_path) -> None:
    if os.geteuid() != 0:
        pytest.skip("a file system can be mounted by root only")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
    try:
        with pytest.raises(OSError, match="No space") as caught:
            pack(tree, disk / "out", compress="none")
        assert caught.value.filename == str(disk / "out")
        assert os.listdir(disk) == []
    finally:
        subprocess.run(["umount", disk], check=True)


def test_paths_beyond_what_a_layer_can_hold_are_refused(tmp_path) -> None:
    top = tmp_path / "tree"
    top.mkdir()
    here = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for _ in range(17):  # 17 * 251 > 4096
            os.mkdir("d" * 250, dir_fd=here)
            below = os.open("d" * 250, os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
            os.close(here)
            here = below
    finally:
        os.close(here)
    with pytest.raises(LimitExceeded, match="path_bytes is 4096"):
        pack(top, tmp_path / "out")
    assert os.listdir(tmp_path) == ["tree"]
