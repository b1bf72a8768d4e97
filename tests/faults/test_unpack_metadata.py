"""Metadata, devices and xattrs (P) against `unpack`: set in the right order, on the right inode."""

import os
import stat
import struct
import subprocess
import sys

import pytest
from support.canary import CAPABILITY, IS_ROOT
from support.hostile import PROFILES, Ground, layer
from support.images import Sample, layout_files, write_folder
from support.layers import LAYER, Layer, sha256
from support.merging import hard, link
from support.tables import entry
from support.tar_build import base256, header, pax, record
from support.tar_build import entry as raw_entry

from ocifast import LimitExceeded, OcifastError, TarError, TreeError
from ocifast.tree.entry import EntryKind

FIFO, CHAR, BLOCK = EntryKind.FIFO, EntryKind.CHAR_DEVICE, EntryKind.BLOCK_DEVICE
NONE = 0xFFFFFFFF
DEFAULT_ACL = (1, 7, NONE, 2, 7, 4242, 4, 5, NONE, 16, 7, NONE, 32, 5, NONE)
"""Tag, permissions and id of owner, a user, group, mask, others."""
NULL = {"dev_major": 1, "dev_minor": 3, "mode": 0o666}

root_only = pytest.mark.skipif(not IS_ROOT, reason="only root may give files away or make devices")


@pytest.fixture
def ground(tmp_path):
    return Ground(tmp_path)


@pytest.fixture
def has_xattrs(tmp_path) -> None:
    try:
        os.setxattr(tmp_path, "user.probe", b"")
    except OSError as error:
        pytest.skip(f"the file system has no xattrs of users: {error}")


def xattrs(ground, name):
    path = ground.dest / name
    return {
        each: os.getxattr(path, each, follow_symlinks=False)
        for each in os.listxattr(path, follow_symlinks=False)
    }


# ---- links and metadata ----


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("together", [True, False])
def test_p08_a_hard_link_brings_no_metadata(ground, profile, together) -> None:
    below = entry("tool", size=9, mode=0o755, mtime_ns=5_000_000_000)
    odd = hard("evil", "tool", mode=0o6777, uid=4242, gid=4242, mtime_ns=9)
    odd = odd._replace(xattrs=((b"user.evil", b"1"),))
    ground.report(*([[below, odd]] if together else [[below], [odd]]), profile=profile)
    for name in ("tool", "evil"):
        found = ground.stat(name)
        assert (stat.S_IMODE(found.st_mode), found.st_mtime_ns) == (0o755, 5_000_000_000)
        assert (found.st_nlink, found.st_uid) == (2, os.geteuid())
        assert "user.evil" not in xattrs(ground, name)


@pytest.mark.parametrize("target", ["{}/secret", "../victim/secret"])
def test_p09_a_mode_never_goes_through_a_link(ground, target) -> None:
    """Not that of the link, of a hard link to it, nor of what replaces it."""
    target = target.format(ground.victim)
    odd = link("l", target, mode=0o6777, uid=4242, gid=4242, mtime_ns=3)
    odd = odd._replace(xattrs=((b"user.evil", b"1"), (b"trusted.evil", b"1")))
    ground.report([odd, hard("h", "l", mode=0o4777)])
    assert ground.stat("l").st_mtime_ns == ground.stat("h").st_mtime_ns == 3
    if IS_ROOT:
        assert ground.stat("l").st_uid == 4242


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("flag", list(b"123456"))
def test_p10_what_has_no_payload_has_no_size(ground, profile, flag) -> None:
    """One reader would take for a header what for another is content."""
    kind = bytes([flag])
    hidden = layer(entry("hidden", size=0))[:512]
    odd = header(b"f", kind, size=512, link=b"t" if kind in b"12" else b"")
    parts = [entry("t"), odd + hidden]
    assert ground.refuses(TarError, parts, profile=profile).code == "header-only-size"


# ---- devices ----


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("kind", [b"3", b"4"])
@pytest.mark.parametrize("number", [-1, 1 << 32, 1 << 55])
def test_p23_device_numbers_that_do_not_exist_are_refused(ground, profile, kind, number) -> None:
    for field in ("major", "minor"):
        odd = header(b"n", kind, **{field: base256(number, 8)})
        assert ground.refuses(TarError, [odd], profile=profile).code == "range"


@pytest.mark.parametrize("kind", [CHAR, BLOCK])
def test_p23_devices_are_denied_by_strict(ground, kind) -> None:
    odd = entry("dev/n", kind, **NULL)
    ground.refuses(OcifastError, [odd], profile="strict", match="dev/n")
    ground.refuses(OcifastError, [odd], devices="deny", match="dev/n")
    ground.refuses(OcifastError, [entry("a")], [odd], profile="strict", match="dev/n")
    assert ground.unpack([odd], [entry("dev/n")], profile="strict") == ["dev/", "dev/n"]


@root_only
@pytest.mark.parametrize("kind", [CHAR, BLOCK])
def test_p23_devices_are_created_by_compat_and_never_opened(ground, kind) -> None:
    odd = entry("dev/n", kind, dev_major=240, dev_minor=77, mode=0o4640, uid=5, mtime_ns=9)
    ground.report([odd], [hard("dev/m", "dev/n")])
    found = ground.stat("dev/m")
    assert stat.S_ISCHR(found.st_mode) if kind is CHAR else stat.S_ISBLK(found.st_mode)
    assert (found.st_rdev, found.st_uid, found.st_mtime_ns) == (os.makedev(240, 77), 5, 9)
    assert stat.S_IMODE(found.st_mode) == 0o4640
    assert ground.unpack([entry("x")], replace=True) == ["x"]


@pytest.mark.parametrize("options", [{"rootless": True}, {"devices": "record", "rootless": True}])
def test_p23_devices_that_are_recorded_are_empty_files(ground, options, has_xattrs) -> None:
    odd = entry("dev/n", CHAR, **NULL)
    ground.report([odd, entry("dev/b", BLOCK, dev_major=8, dev_minor=1, uid=3)], **options)
    assert ground.read("dev/n") == b""
    assert xattrs(ground, "dev/n")["user.containers.override_stat"].endswith(b":char-1-3")
    assert xattrs(ground, "dev/b")["user.containers.override_stat"].endswith(b":block-8-1")


@pytest.mark.parametrize("profile", PROFILES)
def test_p23_pipes_are_made_and_not_waited_for(ground, profile) -> None:
    parts = [entry("p", FIFO, mode=0o620, mtime_ns=8), hard("q", "p")]
    assert ground.unpack(parts, profile=profile) == ["p", "q = p"]
    assert stat.S_ISFIFO(ground.stat("q").st_mode)
    assert (ground.mode("p"), ground.stat("p").st_mtime_ns) == (0o620, 8)


@root_only
@pytest.mark.parametrize("profile", PROFILES)
def test_p24_a_whiteout_of_overlayfs_that_is_smuggled_in_hides_nothing(ground, profile) -> None:
    """A device 0:0 of a layer is a device; overlayfs would take it for a deletion."""
    parts = [entry("etc/a", CHAR, dev_major=0, dev_minor=0)]
    below, options = [entry("etc/a", size=3)], {"profile": profile, "devices": "create"}
    ground.refuses(TreeError, below, parts, overlay=True, match="etc/a", **options)
    assert ground.unpack(below, parts, **options) == ["etc/", "etc/a"]
    found = ground.stat("etc/a")
    assert (stat.S_ISCHR(found.st_mode), found.st_rdev) == (True, 0)


@root_only
def test_p24_xattrs_of_overlayfs_are_escaped_in_its_form_and_plain_in_a_plain_one(
    ground, has_xattrs
) -> None:
    smuggled = {"overlay.opaque": b"y", "overlay.redirect": b"/victim", "overlay.metacopy": b""}
    names = [f"{space}.{name}" for name in smuggled for space in ("trusted", "user")]
    run = tuple((name.encode(), smuggled[name.partition(".")[2]]) for name in names)
    parts = [entry("d/", xattrs=run), entry("f", size=3, xattrs=run)]
    ground.report(parts, overlay=True)
    for at in ("0/d", "0/f"):
        escaped = {f"{each.partition('.')[0]}.overlay.{each.partition('.')[2]}" for each in names}
        assert set(xattrs(ground, at)) == escaped
    ground.report(parts, replace=True)
    assert set(xattrs(ground, "d")) == set(xattrs(ground, "f")) == set(names)


# ---- modes, capabilities, xattrs, times ----


@root_only
def test_p25_special_bits_and_capabilities_outlast_the_change_of_owner(ground, has_xattrs) -> None:
    capable = ((b"security.capability", CAPABILITY), (b"user.a", b"1"))
    said = {"uid": 1000, "gid": 50, "mtime_ns": 1_234_567_890}
    parts = [
        entry("tool", size=9, mode=0o6755, xattrs=capable, **said),
        entry("empty", mode=0o4711, xattrs=capable[::-1], **said),
        entry("d/", mode=0o3775, **said),
        entry("d/in", mode=0o000, size=3, **said),
        link("l", "tool", **said),
    ]
    ground.report(parts)
    for each in parts:
        name = each.name.strip("/")
        found = ground.stat(name)
        assert (found.st_uid, found.st_gid, found.st_mtime_ns) == (1000, 50, 1_234_567_890)
        assert name == "l" or stat.S_IMODE(found.st_mode) == each.mode
        assert xattrs(ground, name) == {key.decode(): value for key, value in each.xattrs}


@pytest.mark.parametrize("umask", [0, 0o22, 0o777])
@pytest.mark.parametrize("workers", [0, 1])
def test_p25_modes_are_those_of_the_layer_whatever_the_umask(ground, umask, workers) -> None:
    said = {"d/": 0o2777, "d/f": 0o666, "d/g": 0o7777, "e/": 0o000, "p": 0o622}
    parts = [entry(name, FIFO if name == "p" else None, mode=mode) for name, mode in said.items()]
    code = (
        "import os, sys, ocifast\nfrom ocifast import engine\nengine.SMALL_BYTES = 0\n"
        f"os.umask({umask})\n"
        "if __name__ == '__main__':\n"
        f"    ocifast.unpack([sys.argv[1]], sys.argv[2], workers={workers}, rootless={not IS_ROOT})"
    )
    path = ground.aside / "layer"
    path.write_bytes(layer(*parts, entry("implied/x", mode=0o600)))
    subprocess.run([sys.executable, "-P", "-c", code, path, ground.dest], check=True, timeout=60)
    ground.canary.check()
    if not IS_ROOT:
        os.chmod(ground.dest / "e", 0o700)
        said.pop("e/")
    assert {name: ground.mode(name) for name in said} == said
    assert ground.mode("implied") == 0o755


def test_p25_folders_without_rights_are_filled_and_can_be_removed(ground) -> None:
    parts = [entry("a/", mode=0), entry("a/b/", mode=0o111), entry("a/b/c", size=3, mode=0)]
    ground.report(parts)
    assert ground.mode("a") == 0
    assert ground.unpack([entry("x")], replace=True) == ["x"]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("run", [b"20 \0\0\0\0\0", record(b"SCHILY.xattr.user.a\0b", b"1")])
def test_p26_xattrs_that_are_malformed_are_refused(ground, profile, run) -> None:
    ground.refuses(TarError, [pax(run), raw_entry(b"f")], profile=profile)


@pytest.mark.parametrize("name", [b"noname", b"user.", b"com.apple.provenance"])
def test_p26_xattrs_without_a_namespace_are_refused_or_left_out(ground, name) -> None:
    parts = [pax((b"SCHILY.xattr." + name, b"v")), raw_entry(b"f")]
    assert ground.refuses(TarError, parts, profile="strict").code == "xattr-name"
    assert ground.unpack(parts) == ["f"]
    assert xattrs(ground, "f") == {}
    assert any("xattr" in text for text in ground.findings)


def test_p26_xattrs_are_capped(ground) -> None:
    key = b"SCHILY.xattr.user."
    for records in ([(key + b"a", bytes(65537))], [(key + b"%d" % n, b"") for n in range(257)]):
        ground.refuses(LimitExceeded, [pax(*records), raw_entry(b"f")], match="xattr_bytes")


def test_p26_of_repeated_xattrs_the_last_counts_unless_strict(ground, has_xattrs) -> None:
    key = b"SCHILY.xattr.user.a"
    parts = [pax((key, b"1"), (key, b"2")), raw_entry(b"f")]
    assert ground.refuses(TarError, parts, profile="strict").code == "pax-repeat"
    ground.report(parts)
    assert xattrs(ground, "f") == {"user.a": b"2"}


def test_p26_labels_of_another_host_are_left_out_and_said(ground) -> None:
    ground.report([entry("f", xattrs=((b"security.selinux", b"u:r:t:s0\0"),))])
    assert "security.selinux" not in xattrs(ground, "f")
    assert any("label" in text for text in ground.findings)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("kind", [None, FIFO, EntryKind.SYMLINK, EntryKind.DIRECTORY])
@pytest.mark.parametrize("time", [-1, -1_500_000_000, 0, 1, 4_102_444_800_999_999_999])
def test_p27_times_have_nanoseconds_on_either_side_of_1970(ground, profile, kind, time) -> None:
    target = b"t" if kind is EntryKind.SYMLINK else b""
    ground.report([entry("f", kind, mtime_ns=time, link_target=target)], profile=profile)
    assert ground.stat("f").st_mtime_ns == time


@pytest.mark.parametrize("value", [b"9" * 19, b"9" * 400, b"-" + b"9" * 30 + b".5"])
def test_p27_times_out_of_range_are_refused_or_clamped(ground, value) -> None:
    parts = [pax((b"mtime", value)), raw_entry(b"f", b"abc")]
    assert ground.refuses(TarError, parts, profile="strict").code == "pax-value"
    assert ground.unpack(parts) == ["f"]
    assert (ground.stat("f").st_mtime < 0) == value.startswith(b"-")


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("value", [b"nan", b"inf", b"1e9", b"1,5", b"0x7", b" 5"])
def test_p27_times_that_are_no_numbers_are_refused(ground, profile, value) -> None:
    parts = [pax((b"mtime", value)), raw_entry(b"f")]
    assert ground.refuses(TarError, parts, profile=profile).code == "pax-value"


# ---- P18: nothing of the image is run or looked at ----


def image_of(*parts):
    tar = layer(*parts)
    return Sample((Layer(tar, LAYER, sha256(tar), sha256(tar), len(tar), 0),), ("it",))


def test_p18_nothing_is_loaded_from_the_tree_and_nobody_changes_root(ground, oracle) -> None:
    """A helper with another root loaded libraries of the image's choice (CVE-2019-14271)."""
    names = ["etc/nsswitch.conf", "etc/passwd", "lib/libnss_files.so.2", "usr/lib/locale/archive"]
    parts = [entry(name, size=20) for name in names] + [entry("zlib.py", size=9), entry("os.py")]
    layout = write_folder(ground.aside / "layout", layout_files(image_of(*parts)))
    trace = ground.aside / "trace"
    calls = "chroot,pivot_root,execve,open,openat,openat2,mmap"
    command = [oracle("strace"), "-f", "-y", "-qq", "-o", trace, "-e", f"trace={calls}"]
    command += [sys.executable, "-P", "-m", "ocifast", "unpack", "-q", f"oci:{layout}", ground.dest]
    done = subprocess.run(command + ["--rootless"] * (not IS_ROOT), check=False, cwd=ground.work)
    assert done.returncode == 0
    ground.canary.check()
    lines = trace.read_text(errors="replace").splitlines()
    assert not [line for line in lines if "chroot(" in line or "pivot_root(" in line]
    assert len([line for line in lines if "execve(" in line]) == 1
    in_tree = [line for line in lines if str(ground.work) in line]
    assert in_tree
    assert not [line for line in in_tree if "PROT_EXEC" in line]
    named = [line for line in lines if "nsswitch" in line or "libnss" in line]
    assert len(named) == 2
    assert all("O_WRONLY|O_CREAT|O_EXCL" in line for line in named), "they are made, never read"


def test_p25_folders_have_no_acl_of_what_they_are_unpacked_over(ground) -> None:
    """Neither those that are moved with their files, nor those that are made in place."""
    default = struct.pack("<I" + "HHI" * 5, 2, *DEFAULT_ACL)
    ground.report([entry("kept", size=1)])
    try:
        os.setxattr(ground.dest, "system.posix_acl_default", default)
    except OSError as error:
        pytest.skip(f"the file system has no ACLs: {error}")
    ground.report([entry("full/file", size=1), entry("empty/", mode=0o700)], keep=True)
    for name in ("full", "full/file", "empty"):
        assert not [each for each in xattrs(ground, name) if "posix_acl" in each]
    assert stat.S_IMODE(ground.stat("empty").st_mode) == 0o700
