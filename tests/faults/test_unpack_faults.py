"""Unpacking while things go wrong: a full disk, refused calls, a kill, no rights, wrong digests.

Invariant of all of them: nothing is at the destination nor beside it, what was there before is as
it was, and the error names what could not be made.
"""

import contextlib
import errno
import gzip
import os
import resource
import stat
import subprocess
import sys
import tarfile
import tempfile
import traceback
from pathlib import Path

import pytest
from conftest import IN_CI
from support.canary import IS_ROOT, Canary
from support.hostile import Ground, layer
from support.images import Sample, layout_files, write_folder
from support.layers import LAYER, Layer, make_tar, sha256
from support.merging import BELOW, hard, link
from support.processes import nothing_left
from support.tables import entry
from support.unpacking import command, everything, run

from ocifast import (
    DiffIdMismatch,
    DigestMismatch,
    LimitExceeded,
    Limits,
    OcifastError,
    TreeError,
    unpack,
)
from ocifast.tree.entry import EntryKind

MIB, NOBODY = 1 << 20, 65534
ALL = ["etc/", "etc/a", "etc/b", "etc/sub/", "etc/sub/c", "lnk -> etc", "top"]
FIFO, CHAR = EntryKind.FIFO, EntryKind.CHAR_DEVICE

root_only = pytest.mark.skipif(not IS_ROOT, reason="only root may change who it is")


@pytest.fixture
def ground(tmp_path):
    return Ground(tmp_path)


@pytest.fixture
def mounted(tmp_path):
    """``mounted("size=1m")`` is a file system in memory, for as long as the test runs."""
    prefix = [] if IS_ROOT else ["sudo", "-n"]
    if prefix and not IN_CI:
        pytest.skip("a file system can be mounted by root only")
    with contextlib.ExitStack() as stack:

        def mount(options):
            disk = tmp_path / f"disk-{options}"
            disk.mkdir()
            command = ["mount", "-t", "tmpfs", "-o", f"mode=1777,{options}", "tmpfs", disk]
            subprocess.run([*prefix, *command], check=True, capture_output=True)
            unmount = [*prefix, "umount", "--lazy", disk]
            stack.callback(subprocess.run, unmount, check=True, capture_output=True)
            return disk

        yield mount


# ---- the disk ----


@pytest.mark.parametrize("options", ["size=1m", "size=64k", "nr_inodes=30", "nr_inodes=5"])
def test_a_disk_that_is_full_is_said_and_nothing_is_left(mounted, options) -> None:
    disk = mounted(options)
    for source in (layer(*everything(400)), make_tar(files=400, size=8000)):
        with pytest.raises(OSError, match="No space") as caught:
            run([source], disk / "root")
        assert caught.value.errno == errno.ENOSPC
        assert str(disk / "root") in str(caught.value)
        assert os.listdir(disk) == []


def test_a_full_disk_is_an_error_of_output_and_leaves_what_there_was(mounted, tmp_path) -> None:
    disk = mounted("size=1m")
    run([layer(*BELOW)], disk / "root")
    canary = Canary(disk / "root")
    (tmp_path / "layer").write_bytes(make_tar(files=400, size=8000))
    for options in (["--force"], ["--force", "--workers", "1"]):
        code, error = command(tmp_path / "layer", disk / "root", *options)
        assert (code, "No space left" in error, error.count("\n")) == (6, True, 1)
        canary.check()
    assert os.listdir(disk) == ["root"]


def test_a_read_only_mount_is_said(mounted, ground) -> None:
    disk = mounted("ro")
    (ground.aside / "layer").write_bytes(layer(*BELOW))
    code, error = command(ground.aside / "layer", disk / "root")
    assert (code, "Read-only file system" in error, str(disk / "root") in error) == (6, True, True)
    for options in ({}, {"keep": True}, {"replace": True}):
        with pytest.raises(OSError, match="Read-only"):
            run([layer(*BELOW)], disk, **options)


def test_a_mount_that_is_not_empty_is_refused_and_an_empty_one_is_filled(mounted) -> None:
    """No rename can put anything in its place: the tree is made in it."""
    disk = mounted("size=1m")
    (disk / "mine").write_text("stays")
    with pytest.raises(OSError, match="not empty"):
        run([layer(*BELOW)], disk)
    assert os.listdir(disk) == ["mine"]
    run([layer(*BELOW)], disk, keep=True)
    assert sorted(os.listdir(disk)) == ["etc", "lnk", "mine", "top"]
    empty = mounted("size=2m")
    run([layer(*BELOW)], empty)
    assert sorted(os.listdir(empty)) == ["etc", "lnk", "top"]


# ---- what is at the destination ----


def test_a_destination_that_is_not_empty_is_refused_as_it_is(ground) -> None:
    ground.report([entry("mine", size=3)])
    canary = Canary(ground.dest)
    with pytest.raises(OSError, match="not empty") as caught:
        ground.report(BELOW)
    assert caught.value.filename == str(ground.dest)
    canary.check()
    (ground.aside / "layer").write_bytes(layer(*BELOW))
    code, error = command(ground.aside / "layer", ground.dest)
    assert (code, "--force" in error, "--keep" in error) == (6, True, True)
    canary.check()


@pytest.mark.parametrize("options", [{}, {"keep": True}, {"replace": True}])
@pytest.mark.parametrize("to", ["victim", "work/victim/sub", "nowhere", "victim/secret"])
def test_a_destination_that_is_a_link_is_not_followed(ground, options, to) -> None:
    ground.dest.symlink_to(ground.work.parent / to)
    with pytest.raises(OSError, match="root"):
        ground.report(BELOW, **options)
    assert ground.dest.is_symlink()


@pytest.mark.parametrize("options", [{}, {"keep": True}])
@pytest.mark.parametrize("kind", ["file", "fifo"])
def test_a_destination_that_is_no_folder_is_refused(ground, kind, options) -> None:
    ground.dest.touch() if kind == "file" else os.mkfifo(ground.dest)
    before = os.lstat(ground.dest)
    with pytest.raises(OSError, match="root"):
        ground.report(BELOW, **options)
    assert os.lstat(ground.dest) == before


def test_an_empty_folder_is_no_obstacle_and_a_missing_parent_is(ground) -> None:
    ground.dest.mkdir()
    ground.report(BELOW)
    with pytest.raises(FileNotFoundError) as caught:
        run([layer(*BELOW)], ground.work / "no/such")
    assert "no" in str(caught.value)


# ---- who may what ----


def as_nobody(what):
    """Whether it ends well in a process of somebody who is not root."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    status = 1
    try:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        what()
        status = 0
    except BaseException:  # noqa: BLE001 - nothing may reach the test's own frames
        traceback.print_exc()
    finally:
        os._exit(status)


@pytest.fixture
def open_folder():
    """A folder that everybody may write to."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


@root_only
def test_without_permission_to_give_files_away_it_is_said_and_rootless_does(open_folder) -> None:
    parts = [entry("etc/passwd", size=9, uid=0), entry("home/", uid=1000, gid=50)]
    dest, source = open_folder / "root", [layer(*parts)]
    run([layer()], open_folder / "loads-all-there-is-to-import")

    def refused():
        with pytest.raises(PermissionError) as caught:
            run(source, dest, rootless=False)
        assert "root/etc/passwd" in str(caught.value)
        assert not dest.exists()

    assert as_nobody(refused)
    assert as_nobody(lambda: run(source, dest, rootless=True))
    assert os.getxattr(dest / "home", "user.rootlesscontainers") == b"\x08\xe8\x07\x10\x32"
    assert os.stat(dest / "home").st_uid == NOBODY
    assert sorted(os.listdir(open_folder)) == ["loads-all-there-is-to-import", "root"]


@root_only
def test_nobody_makes_devices_and_nobody_writes_where_others_are(open_folder) -> None:
    dest, source = open_folder / "root", [layer(entry("null", CHAR, dev_major=1, dev_minor=3))]
    run([layer()], open_folder / "loads-all-there-is-to-import")

    def refused():
        for where in (dest, Path("/etc/ocifast-root")):
            with pytest.raises(PermissionError):
                run(source, where, rootless=True, devices="create")
            assert not where.exists()

    assert as_nobody(refused)
    assert as_nobody(lambda: run(source, dest, rootless=True))
    assert stat.S_ISREG(os.lstat(dest / "null").st_mode)


@root_only
def test_folders_nobody_may_enter_are_filled_and_removed_by_who_is_not_root(open_folder) -> None:
    parts = [entry("a/", mode=0), entry("a/b/", mode=0o111), entry("a/b/c", size=3, mode=0)]
    run([layer(*parts)], open_folder / "loads-all-there-is-to-import")
    dest = open_folder / "root"

    def twice():
        run([layer(*parts)], dest, rootless=True)
        run([layer(*BELOW)], dest, rootless=True, replace=True)

    assert as_nobody(twice)
    assert sorted(os.listdir(open_folder)) == ["loads-all-there-is-to-import", "root"]


# ---- what was promised ----


def image(tmp_path, *tars, lie=""):
    """A layout of layers, of which the last one is not what is promised."""
    layers = [Layer(tar, LAYER, sha256(tar), sha256(tar), len(tar), 0) for tar in tars]
    if lie == "diff_id":
        layers[-1] = layers[-1]._replace(diff_id=sha256(b"another"))
    stored = layout_files(Sample(tuple(layers), names=("it",)))
    if lie == "digest":
        name = f"blobs/sha256/{layers[-1].digest[7:]}"
        stored[name] = stored[name][:515] + b"!" + stored[name][516:]
    return write_folder(tmp_path / "layout", stored)


@pytest.mark.parametrize(
    ("lie", "error"), [("diff_id", DiffIdMismatch), ("digest", DigestMismatch)]
)
@pytest.mark.parametrize("options", [{}, {"keep": True}, {"replace": True}])
@pytest.mark.parametrize("workers", [0, 2])
def test_nothing_is_applied_of_layers_of_which_one_is_not_what_was_promised(
    ground, lie, error, options, workers
) -> None:
    layout = image(ground.aside, layer(*BELOW), layer(entry("evil", size=9)), lie=lie)
    if options:
        ground.report([entry("mine", size=3)])
    with pytest.raises(error):
        unpack(f"oci:{layout}", ground.dest, workers=workers, rootless=not IS_ROOT, **options)
    ground.canary.check()
    if options:
        assert ground.tree() == ["mine"]
    else:
        assert not ground.dest.exists()


@pytest.mark.parametrize(
    "parts",
    [
        [*BELOW, entry("dev", CHAR, dev_major=1, dev_minor=3)],
        [*BELOW, hard("h", "no/such")],
        [*BELOW, entry("../x")],
        [link("l", "l"), entry("l/x")],
        [*BELOW, layer(entry("f", size=5000))[:2000]],
    ],
)
@pytest.mark.parametrize("keep", [False, True])
def test_no_descriptor_stays_open_whatever_comes_of_it(ground, parts, keep) -> None:
    for _ in range(2):  # what is made once and kept is made in the first
        with nothing_left():
            ground.report(BELOW, keep=keep, replace=not keep)
            with pytest.raises((OcifastError, OSError)):
                ground.report(parts, devices="deny", keep=keep, replace=not keep)
    assert ground.tree() == ALL


# ---- memory ----

RUN = """
import sys
from ocifast.cli import main
code = main(sys.argv[1:])
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak) << 10)
sys.exit(code)
"""


def peak_of(*words):
    """Exit code, what was said, and the most memory the process had."""
    command = [sys.executable, "-P", "-c", RUN, "unpack", "-q", *words, "--workers", "0"]
    command += ["--rootless"] * (not IS_ROOT)
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stderr, int(done.stdout.split()[-1])


@pytest.mark.figures
def test_z01_a_layer_that_is_a_bomb_is_refused_and_nothing_is_left(ground) -> None:
    zeros = gzip.compress(bytes(16 * MIB), 9, mtime=0)
    info = tarfile.TarInfo("bomb")
    info.size = 4096 * MIB
    path = ground.aside / "bomb"
    path.write_bytes(gzip.compress(info.tobuf(), mtime=0) + zeros * 256)
    code, error, peak = peak_of(path, ground.dest)
    assert (code, "ratio" in error) == (4, True)
    assert peak < 160 * MIB
    ground.canary.check()
    assert not ground.dest.exists()


@pytest.mark.figures
def test_the_size_of_a_file_costs_no_memory(ground) -> None:
    peaks = []
    for size in (1, 300):
        info = tarfile.TarInfo("large")
        info.size = size * MIB
        path = ground.aside / "layer"
        with path.open("wb") as file:
            file.write(info.tobuf())
            file.truncate(512 + info.size + 1024)
        code, error, peak = peak_of(path, ground.dest, "--force")
        assert (code, error) == (0, "")
        assert ground.stat("large").st_size == info.size
        peaks.append(peak)
    assert peaks[1] < peaks[0] + 16 * MIB
    with pytest.raises(LimitExceeded):
        ground.report([entry("f", size=3000)], limits=Limits(output_bytes=2000), replace=True)


def test_what_cannot_be_noted_of_files_is_said_of_the_tree_and_leaves_nothing(ground) -> None:
    """Where files lie is written down last: here it is too long for a file."""
    tar = layer(*(entry(f"d/{number}") for number in range(3000)))
    before = sorted(os.listdir("/proc/self/fd"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match="too large") as caught:
            run([tar], ground.dest)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.filename == str(ground.dest)
    assert sorted(os.listdir("/proc/self/fd")) == before
    ground.canary.check()
    assert not [name for name in os.listdir(ground.work) if ".ocifast-" in name]


def test_a_hard_link_to_a_folder_is_refused_before_anything_is_removed(ground) -> None:
    ground.report([entry("old", size=1)])
    parts = [entry("d/"), hard("l", "d"), entry(".wh.old")]
    with pytest.raises(TreeError, match="l: it is a hard link to a folder"):
        ground.report(parts, keep=True)
    assert os.listdir(ground.dest) == ["old"]


@pytest.mark.parametrize("named", [True, False])
def test_folders_for_overlayfs_have_the_root_that_their_layers_say(ground, named) -> None:
    before = os.umask(0o077)
    try:
        root = [entry("./", mode=0o1751, mtime_ns=9)] if named else []
        ground.report([*root, entry("a", size=1)], [entry("b", size=1)], overlay=True)
    finally:
        os.umask(before)
    for name in ("0", "1"):
        found = ground.stat(name)
        assert stat.S_IMODE(found.st_mode) == (0o1751 if named else 0o755)
        assert not named or found.st_mtime_ns == 9
