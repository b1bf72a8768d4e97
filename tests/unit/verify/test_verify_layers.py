"""`verify` finds what is wrong with layers, all of it."""

import json
import lzma

from support import images
from support.damage import break_blob, codes, flip, naming
from support.images import Sample, make_sample
from support.layers import make_layer, make_tar, sha256, squeeze, zstd

from ocifast.formats.zstd_chunked import Position, footer, layer_annotations, read_footer, skippable
from ocifast.ops.convert import convert
from ocifast.ops.image import open_store

GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"


SOUND = make_sample(1)
OTHER = make_sample(2, codec="zstd", names=("example.com/b:1",), platform=("linux", "arm64"))


def test_all_problems_are_listed_not_only_the_first(check):
    files = images.layout_files(SOUND, OTHER)
    files = break_blob(files, SOUND.layers[0].blob, flip)
    files = break_blob(files, SOUND.layers[1].blob, lambda data: data + b"x")
    files = break_blob(files, OTHER.config, flip)
    del files[images.blob_name(OTHER.layers[1].blob)]
    found = check(files)
    by_subject = {}
    for problem in found.problems:
        by_subject.setdefault(problem.subject, set()).add(problem.code)
    assert by_subject == {
        images.blob_name(SOUND.layers[0].blob): {"digest", "compression"},
        images.blob_name(SOUND.layers[1].blob): {"digest", "size", "compression"},
        images.blob_name(OTHER.config): {"digest"},
        images.blob_name(OTHER.layers[1].blob): {"missing"},
    }
    assert [image.ok for image in found.images] == [False, False]
    assert all(problem.images for problem in found.problems)


def test_j06_a_problem_has_what_was_expected_and_what_is_there(check):
    blob = SOUND.layers[0].blob
    found = check(break_blob(images.layout_files(SOUND), blob, lambda data: data + bytes(512)))
    (size,) = (problem for problem in found.problems if problem.code == "size")
    assert (size.expected, size.actual) == (len(blob), len(blob) + 512)
    (digest,) = (problem for problem in found.problems if problem.code == "digest")
    assert (digest.expected, digest.actual) == (sha256(blob), sha256(blob + bytes(512)))


def test_z08_a_diff_id_that_lies_is_found(check):
    one, two = SOUND.layers
    lying = Sample((one._replace(diff_id=two.diff_id), two), SOUND.names)
    for form, files in (
        ("oci", images.layout_files(lying)),
        ("docker-archive", images.docker_files(lying, variant="F")),
        ("docker-archive", images.docker_files(lying, variant="C")),
        ("any.gz", images.docker_files(lying, variant="D")),
    ):
        found = check(files, form)
        assert set(codes(found)) <= {"diff_id"} | ({"store"} if form == "any" else set())
        (problem,) = (each for each in found.problems if each.code == "diff_id")
        assert (problem.expected, problem.actual) == (two.diff_id, one.diff_id)


def test_swapped_layers_are_found(check):
    manifest = json.loads(SOUND.manifest)
    manifest["layers"].reverse()
    files = naming(images.layout_files(SOUND), manifest)
    found = check(files)
    assert codes(found) == ["diff_id", "diff_id"]
    assert found.unreachable == (images.blob_name(SOUND.manifest),)


def test_j06_a_size_that_lies_is_found_though_the_digest_is_right(check):
    manifest = json.loads(SOUND.manifest)
    manifest["layers"][1]["size"] += 1
    files = naming(images.layout_files(SOUND), manifest)
    assert codes(check(files)) == ["size"]


def test_z07_a_media_type_that_lies_is_a_problem_or_a_finding(check):
    layer = make_layer("zstd", 9)._replace(media_type=GZIP)
    files = images.layout_files(Sample((layer,)))
    assert codes(check(files)) == ["media_type"]
    tolerant = check(files, profile="compat")
    assert (tolerant.ok, [finding.code for finding in tolerant.findings]) == (True, ["media_type"])


def test_a_tar_that_is_refused_has_its_offset(check):
    plain = make_tar(4).rstrip(b"\0")
    plain += bytes(-len(plain) % 512)
    layer = make_layer("gzip", 4)
    blob = squeeze(plain, "gzip")
    layer = layer._replace(blob=blob, digest=sha256(blob), diff_id=sha256(plain))
    files = images.layout_files(Sample((layer, *SOUND.layers)))
    found = check(files)
    assert codes(found) == ["tar"]
    assert "tar offset" in found.problems[0].text
    assert check(files, profile="compat").ok


def test_a_layer_compressed_with_something_else_is_a_problem(check):
    layer = make_layer("plain", 4)
    blob = lzma.compress(layer.blob)
    layer = layer._replace(blob=blob, digest=sha256(blob), media_type=GZIP)
    assert "unsupported" in codes(check(images.layout_files(Sample((layer,)))))


def test_an_empty_layer_is_a_problem_and_an_empty_blob_is_none(check):
    layer = make_layer("plain")._replace(blob=b"", diff_id=sha256(b""))
    assert codes(check(images.layout_files(Sample((layer,))))) == ["tar"]
    assert check(images.layout_files(SOUND) | {images.blob_name(b""): b""}).ok


def test_h25_a_toc_that_disagrees_with_the_tar_is_a_problem(check, tmp_path):
    """The TOC is whole and its digest is promised, but it says another mode than the tar."""
    sample = Sample((make_layer("gzip", 5),))
    source = images.write_folder(tmp_path / "source", images.layout_files(sample))
    convert(f"oci:{source}", f"oci:{tmp_path}/chunked", compress="zstd:chunked", workers=0)
    (image,) = open_store(f"oci:{tmp_path}/chunked")
    manifest = json.loads(image.manifest.raw)
    (layer,) = manifest["layers"]
    blob = (tmp_path / "chunked/blobs/sha256" / layer["digest"][7:]).read_bytes()
    toc, split = read_footer(blob[-64:])
    lie = zstd.decompress(blob[toc.offset : toc.offset + toc.size]).replace(b'"mode":', b'"mode":1')
    packed = zstd.compress(lie)
    new = Position(toc.offset, len(packed), len(lie))
    tail = skippable(blob[split.offset : split.offset + split.size])
    place = Position(toc.offset + len(packed) + 8, split.size, split.uncompressed_size)
    changed = blob[: toc.offset - 8] + skippable(packed) + tail + skippable(footer(new, place))
    notes = layer_annotations(sha256(packed), new, place)
    files = images.layout_files(sample)
    files[images.blob_name(changed)] = changed
    manifest["layers"] = [
        layer | {"digest": sha256(changed), "size": len(changed), "annotations": notes}
    ]
    found = check(naming(files, manifest))
    assert codes(found) == ["toc"]
    assert "mode is" in found.problems[0].text
