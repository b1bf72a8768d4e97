"""umoci unpacks squashed, flattened and rechunked images to the tree of the image they are made of.

The stacks are those of `test_merge_with_umoci`, which hold what umoci does as the specification has
it; times of folders are left out where whiteouts touch them.
"""

import importlib.util
import itertools
import os
import subprocess
from pathlib import Path

import pytest
from support.images import Sample, layout_files, write_folder
from support.packing import mtree
from support.squashing import layer_of

from ocifast.ops.rechunk import rechunk
from ocifast.ops.squash import flatten, squash

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners and devices need root")

FOLDER = 0o040000


def merge_stacks():
    """The other file of this folder; it is no package."""
    path = Path(__file__).with_name("test_merge_with_umoci.py")
    spec = importlib.util.spec_from_file_location("merge_stacks", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


STACKS = merge_stacks()


@pytest.fixture
def unpack(oracle, tmp_path):
    """Unpack an image; gives what is on disk, without the times of folders."""
    numbers = itertools.count()

    def run(reference):
        at = tmp_path / f"root{next(numbers)}"
        image = reference.removeprefix("oci:")
        command = [oracle("umoci"), "raw", "unpack", "--image", image, str(at)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return {
            path: (*found[:4], *found[5:]) if found[0] == FOLDER else found
            for path, found in mtree(at).items()
        }

    return run


@pytest.mark.parametrize("seed", range(8))
def test_umoci_makes_the_same_tree_of_what_was_squashed(seed, unpack, tmp_path) -> None:
    stack = STACKS.Stack(seed, devices=True)
    stack.base()
    for _ in range(3):
        stack.grow(whiteouts_first=False)
    tars = [STACKS.tar_of(layer, seed) for layer in stack.layers]
    sample = Sample(tuple(layer_of(tar) for tar in tars), names=("it",))
    write_folder(tmp_path / "in", layout_files(sample))
    source = f"oci:{tmp_path}/in:it"
    expected = unpack(source)
    out = f"oci:{tmp_path}/out"
    for first in range(1, len(tars)):
        report = squash(source, f"{out}:from{first}", from_layer=first, workers=0)
        assert unpack(report.destination) == expected, first
    assert unpack(flatten(source, f"{out}:flat", workers=0).destination) == expected
    assert unpack(rechunk(source, f"{out}:few", layers=4, workers=0).destination) == expected
    assert unpack(rechunk(source, f"{out}:many", max_size=2000, workers=0).destination) == expected
