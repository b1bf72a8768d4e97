"""`rechunk`: in other layers an image is the same tree, and its next version most of the layers."""

import os
import random

import pytest
from support.converting import FORMATS, images, sound, write_source
from support.images import make_sample
from support.squashing import config_of, file, folder, hard, image_of, opened, shown

from ocifast.ops.rechunk import rechunk

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners and devices need root")


def files(changed=None, *, when=1_700_000_000):
    """Two layers of many files, the second of which hides some of the first."""
    rng, lower, upper = random.Random(3), [folder("./", mode=0o751)], []
    for part in range(12):
        at = f"usr/lib/python3/part{part}"
        lower.append(folder(at, mtime=when + part))
        for number in range(8):
            data = rng.randbytes(rng.randrange(4000))
            path = f"{at}/file{number}"
            lower.append(file(path, b"changed" if path == changed else data))
    lower += [file("big", rng.randbytes(200_000)), hard("usr/big", "big")]
    upper += [file("usr/lib/python3/part3/.wh.file1"), file("usr/lib/python3/part3/new", b"new")]
    upper += [folder("tmp", mode=0o1777), file("tmp/.keep")]
    return image_of(lower, upper)


@pytest.mark.parametrize("how", [{"layers": 1}, {"layers": 6}, {"max_size": 40_000}], ids=str)
def test_a_rechunked_image_comes_to_the_same_tree(tmp_path, how) -> None:
    source = write_source(tmp_path / "in", "oci", files())
    report = rechunk(source, f"oci:{tmp_path}/out:app", workers=0, **how)
    assert sound(report.destination)
    assert shown(report.destination, tmp_path / "b") == shown(source, tmp_path / "a")
    assert len(report.layers) <= how.get("layers", 99)
    config = config_of(report.destination)
    filled = [step for step in config["history"] if not step.get("empty_layer")]
    assert len(filled) == len(config["rootfs"]["diff_ids"]) == len(report.layers)
    assert {step["created_by"] for step in filled} == {"ocifast rechunk"}


@pytest.mark.parametrize("to", FORMATS)
def test_it_can_be_written_in_every_form(tmp_path, to) -> None:
    source = write_source(tmp_path / "in", "docker-archive", make_sample(1, count=3))
    report = rechunk(source, f"{to}:{tmp_path}/out", layers=3, workers=0)
    assert sound(report.destination)
    (image,) = images(report.destination)
    assert len(image.layers) == len(report.layers)


def digests(reference):
    return {layer.descriptor.digest for layer in opened(reference).layers}


@pytest.mark.parametrize("how", [{"layers": 9}, {"max_size": 30_000}], ids=str)
def test_of_the_next_version_only_layers_differ_in_which_something_is(tmp_path, how) -> None:
    versions = {
        "one": files(),
        "content": files("usr/lib/python3/part5/file2"),
        "folders": files(when=1_800_000_000),
    }
    found = {}
    for name, sample in versions.items():
        source = write_source(tmp_path / name, "oci", sample)
        rechunk(source, f"oci:{tmp_path}/out:{name}", workers=0, **how)
        found[name] = digests(f"oci:{tmp_path}/out:{name}")
    for name in ("content", "folders"):
        assert len(found["one"] - found[name]) == len(found[name] - found["one"]) == 1


def test_what_is_rechunked_again_stays_what_it_is(tmp_path) -> None:
    source = write_source(tmp_path / "in", "oci", files())
    once = rechunk(source, f"oci:{tmp_path}/out:once", layers=7, workers=0)
    twice = rechunk(once.destination, f"oci:{tmp_path}/out:twice", layers=7, workers=0)
    assert [layer.digest for layer in twice.layers] == [layer.digest for layer in once.layers]


def test_the_bytes_do_not_depend_on_workers(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("ocifast.engine.SMALL_BYTES", 0)
    source = write_source(tmp_path / "in", "oci", files())
    found = {
        rechunk(source, f"oci:{tmp_path}/out{workers}:app", layers=6, workers=workers).digest
        for workers in (0, 1, 2)
    }
    assert len(found) == 1


def test_large_files_are_alone(tmp_path) -> None:
    source = write_source(tmp_path / "in", "oci", files())
    report = rechunk(source, f"oci:{tmp_path}/out:app", max_size=100_000, workers=0)
    (large,) = [layer for layer in report.layers if layer.uncompressed_size > 200_000]
    assert large.entries == 3  # the file, its other name, and the folder that is in
