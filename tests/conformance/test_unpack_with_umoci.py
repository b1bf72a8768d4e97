"""What `unpack` makes of layers is what umoci makes of them, and of one layer what GNU tar does.

Trees are compared by names, types, bytes, modes, owners, times, xattrs, devices, and which names
are one inode. The stacks are those of `test_merge_with_umoci.py`, whose list says what umoci does
otherwise and is left out of them. These are differences that stay:

- Layer after layer over a destination that is kept: a folder of which a layer says nothing, but in
  which it makes something, is of now. umoci gives it its old time back; times of folders are not
  compared there.
- GNU tar does not know whiteouts: it gets the base of a stack, which has none.
- GNU tar leaves a folder the set-gid bit of the folder it is in, which its entry does not have.
- GNU tar makes links that are absolute or have `..` at its end, until when no path leads through
  them and after which their folders are of now: paths do not go through links, and times of folders
  are not compared.
- Folders for overlayfs cannot have hard links into the layer below, which are refused.
"""

import os
import subprocess

import pytest
from support.canary import IS_ROOT
from support.images import Sample, layout_files, write_folder
from support.layers import LAYER, Layer, sha256, squeeze
from support.merge_model import NOWHERE, flat
from test_merge_with_umoci import Stack, tar_of, without_folder_times

from ocifast import unpack
from ocifast._native.tree_walk import walk
from ocifast.formats.tar import EntryTable
from ocifast.tree.entry import EntryKind

MEDIA = {"plain": LAYER, "gzip": f"{LAYER}+gzip"}


@pytest.fixture(scope="module")
def devices(tmp_path_factory) -> bool:
    """Whether there may be some."""
    try:
        os.mknod(tmp_path_factory.mktemp("devices") / "null", 0o20666, os.makedev(1, 3))
    except PermissionError:
        return False
    return True


def stack_of(seed, *, devices, whiteouts_first=True):
    """Tars of random layers, from the base up."""
    stack = Stack(seed, devices=devices)
    stack.base()
    for _ in range(stack.random.randint(1, 5)):
        stack.grow(whiteouts_first=whiteouts_first)
    return [tar_of(layer, seed) for layer in stack.layers]


def image_of(tars, top, codec="gzip"):
    """A layout of these layers."""
    layers = []
    for tar in tars:
        blob = squeeze(tar, codec)
        layers.append(Layer(blob, MEDIA[codec], sha256(blob), sha256(tar), len(tar), 0))
    return write_folder(top / "layout", layout_files(Sample(tuple(layers), names=("it",))))


def tree_of(root):
    """Rows and bytes of all that is in a folder."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        rows, heap, left_out = walk(descriptor)
    finally:
        os.close(descriptor)
    assert left_out == []
    found = [flat(each, NOWHERE) for each in EntryTable(rows, heap)]
    if not IS_ROOT:
        found = [each._replace(uid=0, gid=0) for each in found]
    files = [each.path for each in found if each.kind is EntryKind.FILE]
    return found, {path: (root / os.fsdecode(path)).read_bytes() for path in files}


def umoci_tree(oracle, layout, root):
    rootless = [] if IS_ROOT else ["--rootless"]
    words = [oracle("umoci"), "raw", "unpack", *rootless, "--image", f"{layout}:it", root]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return tree_of(root)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("whiteouts_first", [True, False], ids=["first", "anywhere"])
def test_a_stack_of_layers_is_the_tree_that_umoci_makes_of_it(
    seed, whiteouts_first, workers, devices, oracle, tmp_path
) -> None:
    tars = stack_of(seed + 5000 * workers, devices=devices, whiteouts_first=whiteouts_first)
    layout = image_of(tars, tmp_path, list(MEDIA)[seed % 2])
    unpack(f"oci:{layout}:it", tmp_path / "ours", workers=workers, rootless=not IS_ROOT)
    ours, our_files = tree_of(tmp_path / "ours")
    theirs, their_files = umoci_tree(oracle, layout, tmp_path / "theirs")
    if not whiteouts_first:
        ours, theirs = map(without_folder_times, (ours, theirs))
    assert ours == theirs
    assert our_files == their_files


@pytest.mark.parametrize("seed", range(10))
def test_layer_after_layer_over_what_is_kept_is_the_same_tree(
    seed, devices, oracle, tmp_path
) -> None:
    tars = stack_of(seed + 9000, devices=devices)
    layout = image_of(tars, tmp_path)
    for tar in tars:
        unpack([tar], tmp_path / "ours", workers=0, rootless=not IS_ROOT, keep=True)
    ours, our_files = tree_of(tmp_path / "ours")
    theirs, their_files = umoci_tree(oracle, layout, tmp_path / "theirs")
    assert without_folder_times(ours) == without_folder_times(theirs)
    assert our_files == their_files


def as_tar_may(rows):
    """Without what GNU tar does otherwise to folders."""
    return [
        row._replace(mode=row.mode & ~0o2000) if row.kind is EntryKind.DIRECTORY else row
        for row in without_folder_times(rows)
    ]


@pytest.mark.parametrize("seed", range(10))
def test_one_layer_is_the_tree_that_gnu_tar_makes_of_it(seed, devices, oracle, tmp_path) -> None:
    stack = Stack(seed + 20_000, devices=devices)
    stack.spelled = lambda path: path
    stack.base()
    tar = tar_of(stack.layers[0], seed)
    (tmp_path / "theirs").mkdir()
    words = [oracle("tar"), "-x", "-p", "--xattrs", "--xattrs-include=*", "--numeric-owner"]
    words += ["--same-owner"] * IS_ROOT
    subprocess.run([*words, "-f", "-", "-C", tmp_path / "theirs"], input=tar, check=True)
    unpack([tar], tmp_path / "ours", workers=0, rootless=not IS_ROOT)
    ours, our_files = tree_of(tmp_path / "ours")
    theirs, their_files = tree_of(tmp_path / "theirs")
    assert as_tar_may(ours) == as_tar_may(theirs)
    assert our_files == their_files


def overlay_stack_of(seed):
    """Layers that can be folders of their own: none has a hard link to what is below it."""
    stack = Stack(seed, devices=True)
    stack.kinds = [kind for kind in stack.kinds if kind is not EntryKind.HARDLINK]
    stack.spelled = lambda path: path
    stack.base()
    for _ in range(4):
        stack.grow(whiteouts_first=False)
    return [tar_of(layer, seed) for layer in stack.layers]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.skipif(not IS_ROOT, reason="only root may mount")
def test_layers_in_the_form_of_overlayfs_mounted_are_the_same_tree(seed, tmp_path) -> None:
    tars = overlay_stack_of(seed)
    unpack(tars, tmp_path / "plain", workers=0)
    mounted_as, places = tmp_path / "merged", tmp_path / "layers"
    unpack(tars, places, workers=0, overlay=True)
    mounted_as.mkdir()
    folders = ":".join(str(places / str(n)) for n in reversed(range(len(tars))))
    words = ["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={folders}", mounted_as]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"an overlay cannot be mounted here: {done.stderr.strip()}")
    try:
        ours = tree_of(mounted_as)
    finally:
        subprocess.run(["umount", mounted_as], check=True)
    assert ours == tree_of(tmp_path / "plain")


def test_umoci_with_a_mapping_of_ids_and_ours_agree(oracle, tmp_path) -> None:
    if not IS_ROOT:
        pytest.skip("only root may give files away")
    tars = stack_of(77, devices=False)
    layout = image_of(tars, tmp_path)
    ranges = {"uid": [(0, 100_000, 65_536), (70_000, 300_000, 10)], "gid": [(0, 200_000, 65_536)]}
    maps = [
        f"--{kind}-map={':'.join(map(str, each))}"
        for kind, found in ranges.items()
        for each in found
    ]
    words = [oracle("umoci"), "raw", "unpack", *maps, "--image", f"{layout}:it"]
    subprocess.run([*words, tmp_path / "theirs"], check=True, capture_output=True)
    options = {f"{kind}_map": found for kind, found in ranges.items()}
    unpack(f"oci:{layout}", tmp_path / "ours", workers=0, **options)
    assert tree_of(tmp_path / "ours") == tree_of(tmp_path / "theirs")
