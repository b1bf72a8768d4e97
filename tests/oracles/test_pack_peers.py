"""What we pack is, for other tools, the tree it was made of."""

import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support.engines import Client
from support.images import Sample
from support.packing import WHEN, age, make_tree, mtree, pack

import ocifast
from ocifast.formats.toc import TocEntry
from ocifast.ops.seekable_layer import open_seekable
from ocifast.ops.stored_toc import toc_digest_of

Oracle = Callable[[str], str]
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="owners and devices are made by root only")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = make_tree(tmp_path / "tree")
    os.setxattr(top / "etc/file0.txt", "user.note", b"binary\0value")
    if os.geteuid() == 0:
        os.mknod(top / "var/null", 0o666 | 0o020000, os.makedev(1, 3))
        os.chown(top / "etc/file3.txt", 3_000_000, 5)
        os.lchown(top / "etc/link", 1000, 1000)
        capability = bytes.fromhex("0100000200200000") + bytes(12)
        os.setxattr(top / "etc/file6.txt", "security.capability", capability)
        acl = bytes.fromhex(
            "02000000 01000600ffffffff 02000400e8030000 04000400ffffffff "
            "10000400ffffffff 20000400ffffffff"
        )
        os.setxattr(top / "etc/file9.txt", "system.posix_acl_access", acl)
    age(top)
    return top


def differing(ours: dict, theirs: dict) -> list[str]:
    return sorted(
        name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)
    )


@ROOT_ONLY
@pytest.mark.parametrize("tool", ["tar", "bsdtar"])
@pytest.mark.parametrize("compress", ["none", "gzip", "zstd"])
def test_a_tar_tool_makes_the_tree_again(
    oracle: Oracle, tree: Path, tmp_path: Path, tool: str, compress: str
) -> None:
    pack(tree, tmp_path / "out", compress=compress)
    into = tmp_path / "into"
    into.mkdir()
    options = ["--xattrs", "--xattrs-include=*"] if tool == "tar" else ["--xattrs", "--acls"]
    if tool == "tar" and compress == "zstd":
        options.append("--zstd")
    command = [oracle(tool), "-x", "-p", "-f", tmp_path / "out", "--numeric-owner", *options]
    environment = os.environ | {"LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, check=False, cwd=into, env=environment, capture_output=True)
    # bsdtar makes the file whose name is no UTF-8, and regrets it
    regrets = b"Pathname can't be converted" in done.stderr and done.stderr.count(b"\n") == 2
    assert done.returncode == 0 or (tool == "bsdtar" and regrets), done.stderr
    # ACLs travel in the form of the kernel's xattr, which bsdtar does not restore
    acls = ["etc/file9.txt"] if tool == "bsdtar" else []
    assert differing(mtree(tree), mtree(into)) == acls


@ROOT_ONLY
def test_umoci_unpacks_the_tree_from_our_image(oracle: Oracle, tree: Path, tmp_path: Path) -> None:
    pack(tree, f"oci:{tmp_path}/layout:app", compress="gzip")
    subprocess.run(
        [oracle("umoci"), "unpack", "--image", f"{tmp_path}/layout:app", tmp_path / "bundle"],
        check=True,
        capture_output=True,
    )
    assert differing(mtree(tree), mtree(tmp_path / "bundle/rootfs")) == []


@ROOT_ONLY
def test_what_was_packed_and_unpacked_packs_to_the_same_diff_id(
    oracle: Oracle, tree: Path, tmp_path: Path
) -> None:
    first = pack(tree, tmp_path / "out", compress="none")
    into = tmp_path / "into"
    into.mkdir()
    command = [oracle("tar"), "-x", "-p", "-f", tmp_path / "out", "--numeric-owner"]
    subprocess.run([*command, "--xattrs", "--xattrs-include=*"], check=True, cwd=into)
    assert pack(into, tmp_path / "again", compress="none").diff_id == first.diff_id


@ROOT_ONLY
def test_umoci_makes_the_same_difference(oracle: Oracle, tmp_path: Path) -> None:
    """Header for header: what umoci repacks, and what we pack of the same folder, is one tar."""
    layout, bundle = tmp_path / "layout", tmp_path / "bundle"
    top = tmp_path / "tree"
    (top / "etc").mkdir(parents=True)
    (top / "etc/kept").write_text("kept")
    (top / "etc/gone").write_text("gone")
    age(top)
    pack(top, f"oci:{layout}:app")
    umoci = oracle("umoci")
    subprocess.run([umoci, "unpack", "--image", f"{layout}:app", bundle], check=True)
    rootfs = bundle / "rootfs"
    (rootfs / "etc/gone").unlink()
    (rootfs / "etc/new").write_text("new")
    (rootfs / "etc/link").symlink_to("kept")
    (rootfs / ("x" * 120)).write_text("long name")
    (rootfs / "ünïcode").write_text("no ascii")
    os.chown(rootfs / "etc/new", 3_000_000, 7)
    age(rootfs)
    subprocess.run([umoci, "repack", "--image", f"{layout}:new", bundle], check=True)
    image = ocifast.open_image(f"oci:{layout}:new")
    blob = layout / "blobs/sha256" / image.layers[-1].descriptor.digest.encoded
    with (tmp_path / "theirs.tar").open("wb") as out:
        subprocess.run(["gzip", "-dc", blob], stdout=out, check=True)
    pack(rootfs, tmp_path / "ours.tar", compress="none", base=f"oci:{layout}:app")
    ours, theirs = headers_of(tmp_path / "ours.tar"), headers_of(tmp_path / "theirs.tar")
    shared = ours.keys() & theirs.keys()
    assert shared == {"etc/new", "etc/link", "x" * 120, "ünïcode", "etc/.wh.gone"}
    assert {name: ours[name] for name in shared} == {name: theirs[name] for name in shared}


def headers_of(path: Path) -> dict[str, bytes]:
    """All bytes before the payload of each entry, by name."""
    data, found = path.read_bytes(), {}
    with tarfile.open(path) as tar:
        for member in tar:
            found[member.name] = data[member.offset : member.offset_data]
    return found


def test_skopeo_reads_the_image(oracle: Oracle, tree: Path, tmp_path: Path) -> None:
    layer = pack(tree, f"oci:{tmp_path}/layout:app", compress="zstd")
    command = [oracle("skopeo"), "copy", "-q", f"oci:{tmp_path}/layout:app", f"dir:{tmp_path}/dir"]
    subprocess.run(command, check=True)
    assert (tmp_path / "dir" / layer.digest.encoded).stat().st_size == layer.size


def test_an_image_packed_from_a_folder_runs(
    engine: Client, program: bytes, image: Sample, tmp_path: Path
) -> None:
    """The program of the test images, on top of an image of nothing."""
    top = tmp_path / "tree"
    (top / "etc").mkdir(parents=True)
    (top / "etc/kept").write_text("packed")
    (top / "check").write_bytes(program)
    (top / "check").chmod(0o755)
    pack(top, f"oci:{tmp_path}/layout:example.com/packed:1", source_date_epoch=WHEN)
    ocifast.convert(f"oci:{tmp_path}/layout", f"docker-archive:{tmp_path}/out.tar", workers=0)
    engine("load", "--input", str(tmp_path / "out.tar"))
    assert engine.output_of("example.com/packed:1", "/check", "/etc/kept") == ["/etc/kept: packed"]


@pytest.mark.parametrize("compress", ["zstd:chunked", "estargz"])
def test_podman_pulls_and_runs_a_seekable_layer(
    podman: Client, program: bytes, tmp_path: Path, compress: str
) -> None:
    top = tmp_path / "tree"
    (top / "etc").mkdir(parents=True)
    (top / "etc/kept").write_text("chunked")
    (top / "check").write_bytes(program)
    (top / "check").chmod(0o755)
    pack(top, f"oci:{tmp_path}/layout:app", compress=compress)
    identity = podman("pull", "-q", f"oci:{tmp_path}/layout:app").strip()
    assert podman.output_of(identity, "/check", "/etc/kept") == ["/etc/kept: chunked"]
    podman.forget_images()


def test_skopeo_writes_a_toc_that_is_read_here(oracle: Oracle, tree: Path, tmp_path: Path) -> None:
    """What the reference writes of the same tar says the same, file by file."""
    (tree / os.fsdecode(b"\xff\xfe")).unlink()
    pack(tree, f"oci:{tmp_path}/layout:app", compress="gzip")
    ours = pack(tree, tmp_path / "ours", compress="zstd:chunked")
    command = [oracle("skopeo"), "copy", "-q", "--dest-compress-format", "zstd:chunked"]
    subprocess.run(
        [*command, f"oci:{tmp_path}/layout:app", f"oci:{tmp_path}/theirs:app"], check=True
    )
    image = ocifast.open_image(f"oci:{tmp_path}/theirs:app")
    assert image.layers[0].diff_id == ours.diff_id
    blob = tmp_path / "theirs/blobs/sha256" / image.layers[0].descriptor.digest.encoded
    theirs = _entries(blob)
    assert [(e.path, e.kind, e.size, e.mode, e.digest) for e in theirs if e.size] == [
        (e.path, e.kind, e.size, e.mode, e.digest) for e in _entries(tmp_path / "ours") if e.size
    ]


def test_the_toc_of_skopeo_is_found_to_say_what_its_tar_does(
    oracle: Oracle, tree: Path, tmp_path: Path
) -> None:
    (tree / os.fsdecode(b"\xff\xfe")).unlink()
    pack(tree, f"oci:{tmp_path}/layout:app", compress="gzip")
    command = [oracle("skopeo"), "copy", "-q", "--dest-compress-format", "zstd:chunked"]
    subprocess.run(
        [*command, f"oci:{tmp_path}/layout:app", f"oci:{tmp_path}/theirs:app"], check=True
    )
    (layer,) = ocifast.open_image(f"oci:{tmp_path}/theirs:app").layers
    assert toc_digest_of(layer.descriptor.annotations) is not None
    assert ocifast.verify(f"oci:{tmp_path}/theirs", workers=0).problems == ()


def _entries(path: Path) -> tuple[TocEntry, ...]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        found = open_seekable(descriptor)
        return found.entries if found else ()
    finally:
        os.close(descriptor)
