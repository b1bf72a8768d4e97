"""`convert` to zstd:chunked and eStargz: annotations, diff_ids, and what is seekable already."""

import json
import os

import pytest
from support.converting import images, left_over, run, sound, write_source
from support.images import blob_name, make_sample, write_folder

from ocifast.engine import Engine
from ocifast.ops.convert import convert
from ocifast.ops.convert_pass import ConvertPass
from ocifast.ops.seekable_layer import open_seekable
from ocifast.ops.stored_toc import toc_digest_of
from ocifast.ops.verify import verify

APP = make_sample(1, names=("app:1",))
SEEKABLE = {"zstd:chunked": "+zstd", "estargz": "+gzip"}


@pytest.fixture(params=SEEKABLE)
def compress(request):
    return request.param


def descriptors(reference):
    (image,) = images(reference)
    return [layer.descriptor for layer in image.layers]


def seekable(layer):
    """What the TOC of a layer's blob says, and its digest."""
    descriptor = layer.location.open()
    try:
        found = open_seekable(descriptor, layer.location.offset, layer.location.size)
        return found.entries, found.toc_digest
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("kind", ["oci", "docker-archive", "oci-archive"])
@pytest.mark.parametrize("to", ["oci", "oci-archive", "dir"])
def test_an_image_gets_seekable_layers_whose_annotations_name_their_toc(
    tmp_path, kind, to, compress
) -> None:
    run(write_source(tmp_path, kind, APP), f"{to}:{tmp_path}/out", compress=compress)
    (image,) = images(f"{to}:{tmp_path}/out")
    assert sound(f"{to}:{tmp_path}/out")
    for layer, old in zip(image.layers, APP.layers, strict=True):
        assert layer.descriptor.media_type.endswith(SEEKABLE[compress])
        entries, digest = seekable(layer)
        assert toc_digest_of(layer.descriptor.annotations) == digest
        assert len(entries) - (compress == "estargz") == old.entries
    assert left_over(tmp_path) == []


def test_zstd_chunked_keeps_the_image_id_and_estargz_has_another(tmp_path, compress) -> None:
    report = run(write_source(tmp_path, "oci", APP), f"oci:{tmp_path}/out", compress=compress)
    (image,) = report.images
    was, now = ([getattr(x, n) for x in image.layers] for n in ("source_diff_id", "diff_id"))
    assert was == [layer.diff_id for layer in APP.layers]
    assert (now == was) == (image.image_id == APP.image_id) == (compress == "zstd:chunked")
    (written,) = images(f"oci:{tmp_path}/out")
    config = json.loads(written.config_raw)
    assert config["rootfs"]["diff_ids"] == now
    assert config["history"] == json.loads(APP.config)["history"]
    assert config["config"] == APP.runtime


def test_what_is_seekable_already_is_kept_and_with_force_made_anew(tmp_path, compress) -> None:
    run(write_source(tmp_path, "oci", APP), f"oci:{tmp_path}/one:x", compress=compress)
    for force, how in [(False, {"reflinked", "copied", "hardlinked"}), (True, {"compressed"})]:
        dest = f"oci:{tmp_path}/two-{force}:x"
        report = run(f"oci:{tmp_path}/one:x", dest, compress=compress, force=force)
        assert {layer.how for layer in report.layers} <= how
        assert descriptors(dest) == descriptors(f"oci:{tmp_path}/one:x")


def test_what_only_says_that_it_is_seekable_is_made_anew(tmp_path) -> None:
    """Its blobs are zstd, and annotations of another image were copied to them."""
    source = write_source(tmp_path, "oci", APP)
    run(source, f"oci:{tmp_path}/zstd:x", compress="zstd")
    run(source, f"oci:{tmp_path}/c:x", compress="zstd:chunked")
    (image,) = images(f"oci:{tmp_path}/zstd:x")
    manifest = json.loads(image.manifest.raw)
    for layer, other in zip(manifest["layers"], descriptors(f"oci:{tmp_path}/c:x"), strict=True):
        layer["annotations"] = dict(other.annotations)
    raw = json.dumps(manifest).encode()
    files = {name: (tmp_path / "zstd" / name).read_bytes() for name in names_of(tmp_path / "zstd")}
    files |= {blob_name(raw): raw}
    index = json.loads(files["index.json"])
    index["manifests"][0] |= {"digest": "sha256:" + blob_name(raw)[-64:], "size": len(raw)}
    files["index.json"] = json.dumps(index).encode()
    lying = write_folder(tmp_path / "lying", files)
    found = verify(f"oci:{lying}", workers=0)
    assert {problem.code for problem in found.problems} == {"toc"}
    report = run(f"oci:{lying}", f"oci:{tmp_path}/out:x", compress="zstd:chunked")
    assert {layer.how for layer in report.layers} == {"compressed"}
    assert descriptors(f"oci:{tmp_path}/out:x") == descriptors(f"oci:{tmp_path}/c:x")


def names_of(folder):
    return [
        os.path.relpath(os.path.join(top, name), folder)
        for top, _, names in os.walk(folder)
        for name in names
    ]


def test_bytes_do_not_depend_on_workers_nor_on_the_way(tmp_path, compress, no_job_is_small) -> None:
    source = write_source(tmp_path, "oci", APP)
    run(source, f"oci:{tmp_path}/one:x", compress=compress)
    with Engine(workers=2) as engine:
        convert(source, f"oci:{tmp_path}/two:x", compress=compress, engine=engine)
    run(f"oci:{tmp_path}/one:x", f"oci:{tmp_path}/plain:x", compress="gzip")
    run(f"oci:{tmp_path}/plain:x", f"oci:{tmp_path}/three:x", compress=compress)
    first = descriptors(f"oci:{tmp_path}/one:x")
    assert descriptors(f"oci:{tmp_path}/two:x") == first
    assert descriptors(f"oci:{tmp_path}/three:x") == first


def test_another_compression_takes_annotations_of_the_toc_away(tmp_path, compress) -> None:
    run(write_source(tmp_path, "oci", APP), f"oci:{tmp_path}/one:x", compress=compress)
    run(f"oci:{tmp_path}/one:x", f"oci:{tmp_path}/two:x", compress="gzip", force=True)
    assert [layer.annotations for layer in descriptors(f"oci:{tmp_path}/two:x")] == [{}, {}]


def test_a_run_that_was_interrupted_knows_annotations_and_diff_ids(
    tmp_path, compress, monkeypatch
) -> None:
    """It stops where the archive is to be written; all its layers are finished."""
    source, dest = write_source(tmp_path, "oci", APP), f"oci-archive:{tmp_path}/out:x"
    run(source, f"oci:{tmp_path}/whole:x", compress=compress)
    with monkeypatch.context() as patch:
        patch.setattr("ocifast.ops.outputs.write_archive", stopped, raising=True)
        with pytest.raises(KeyboardInterrupt):
            run(source, dest, compress=compress)
    report = run(source, dest, compress=compress)
    assert {layer.how for layer in report.layers} == {"resumed"}
    assert descriptors(dest) == descriptors(f"oci:{tmp_path}/whole:x")
    assert sound(dest)


def stopped(*_args, **_more):
    raise KeyboardInterrupt


@pytest.mark.parametrize("place", [40, -40, -1000])
def test_bytes_that_change_on_the_way_to_the_file_are_found_and_nothing_is_left(
    tmp_path, compress, place, monkeypatch
) -> None:
    """A flipped bit of a frame, of the footer, and of the TOC."""
    put, size = ConvertPass._put, [0]
    source = write_source(tmp_path, "oci", make_sample(1, 1))
    run(source, f"oci:{tmp_path}/sound:x", compress=compress)
    (layer,) = descriptors(f"oci:{tmp_path}/sound:x")
    at = place % layer.size

    def spoiled(self, data):
        copy = bytearray(data)
        if size[0] <= at < size[0] + len(copy):
            copy[at - size[0]] ^= 1
        size[0] += len(copy)
        put(self, memoryview(copy))

    monkeypatch.setattr(ConvertPass, "_put", spoiled)
    report = run(source, f"oci:{tmp_path}/out:x", compress=compress, keep_going=True)
    assert not report.ok
    assert report.images[0].exit_code in (1, 4)
    assert left_over(tmp_path) == []
    assert not any(name.startswith("blobs/") for name in names_of(tmp_path / "out"))
