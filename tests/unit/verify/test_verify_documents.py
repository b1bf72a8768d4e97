"""`verify` holds documents against each other, and goes on after one that is broken."""

import base64
import json
from dataclasses import replace

import pytest
from support import images
from support.damage import break_blob, codes, flip
from support.images import Sample, make_sample

SOUND = make_sample(1)
OTHER = make_sample(2, codec="zstd", names=("example.com/b:1",), platform=("linux", "arm64"))


@pytest.mark.parametrize("what", ["config", "manifest"])
def test_a_document_with_another_digest_is_a_problem(check, what):
    files = break_blob(images.layout_files(SOUND, OTHER), getattr(SOUND, what), flip)
    found = check(files)
    assert codes(found) == ["digest"]
    assert found.problems[0].subject == images.blob_name(getattr(SOUND, what))
    assert (found.layers, found.blobs) == ((4, 8) if what == "config" else (2, 8))


def test_a_document_that_is_missing_is_a_problem(check):
    for missing in (SOUND.config, SOUND.manifest):
        files = images.layout_files(SOUND, OTHER)
        del files[images.blob_name(missing)]
        found = check(files)
        assert codes(found) == ["missing"]
        assert found.problems[0].subject == images.blob_name(missing)


def test_a_child_of_an_index_that_is_missing_is_tolerated_by_compat(check):
    files = images.layout_files(SOUND, OTHER, index=True)
    for blob in (OTHER.manifest, OTHER.config, *(layer.blob for layer in OTHER.layers)):
        del files[images.blob_name(blob)]
    assert codes(check(files)) == ["missing"]
    tolerant = check(files, profile="compat")
    assert (tolerant.ok, [finding.code for finding in tolerant.findings]) == (True, ["missing"])


def test_j02_a_document_that_is_ambiguous_is_a_problem(check):
    raw = SOUND.manifest.replace(b'"layers"', b'"layers":[],"layers"')
    files = images.layout_files(SOUND, OTHER) | {images.blob_name(raw): raw}
    entries = [images.descriptor(raw, images.MANIFEST), *images.root_entries(OTHER)]
    found = check(files | {"index.json": images.index_json(entries)})
    assert codes(found) == ["document"]
    assert "twice" in found.problems[0].text


def test_j09_embedded_data_is_verified_in_place_of_the_blob(check):
    sample = make_sample(6, count=1)
    blob = sample.layers[0].blob
    for data, expected in ((blob, []), (flip(blob), ["document"])):
        manifest = json.loads(sample.manifest)
        manifest["layers"][0]["data"] = base64.b64encode(data).decode()
        raw = images.compact(manifest)
        files = images.layout_files(sample) | {images.blob_name(raw): raw}
        del files[images.blob_name(blob)]
        files["index.json"] = images.index_json([images.descriptor(raw, images.MANIFEST)])
        assert codes(check(files)) == expected


def test_j10_a_config_with_another_number_of_layers_is_a_problem(check):
    more = Sample((*SOUND.layers, OTHER.layers[0]))
    manifest = json.loads(SOUND.manifest) | {
        "config": images.descriptor(more.config, images.CONFIG)
    }
    raw = images.compact(manifest)
    files = images.layout_files(SOUND)
    files |= {images.blob_name(raw): raw, images.blob_name(more.config): more.config}
    files = break_blob(files, SOUND.layers[0].blob, flip)
    files["index.json"] = images.index_json([images.descriptor(raw, images.MANIFEST)])
    found = check(files)
    assert codes(found) == ["document", "digest", "compression"]
    assert "diff_ids" in found.problems[0].text


def test_j12_the_blobs_of_an_artifact_are_verified_and_not_looked_into(check):
    blob, config = b"not a tar", b"{}"
    manifest = {
        "schemaVersion": 2,
        "mediaType": images.MANIFEST,
        "artifactType": "application/x",
        "config": images.descriptor(config, "application/vnd.oci.empty.v1+json"),
        "layers": [images.descriptor(blob, "application/x")],
    }
    raw = images.compact(manifest)
    files = images.layout_files(SOUND)
    files |= {images.blob_name(each): each for each in (blob, config, raw)}
    files["index.json"] = images.index_json([images.descriptor(raw, images.MANIFEST)])
    assert check(files).ok
    assert codes(check(break_blob(files, blob, flip))) == ["digest"]


@pytest.mark.parametrize("runs", [True, False])
def test_j12_a_layer_of_no_known_type_is_a_problem_of_an_image_that_runs(check, runs):
    manifest = json.loads(SOUND.manifest)
    manifest["layers"][0]["mediaType"] = "application/vnd.oci.image.laxer.v1.tar"
    config = json.loads(SOUND.config)
    raw_config = images.compact(config if runs else config | {"os": ""})
    manifest["config"] = images.descriptor(raw_config, images.CONFIG)
    raw = images.compact(manifest)
    files = images.layout_files(SOUND)
    files |= {images.blob_name(each): each for each in (raw, raw_config)}
    files["index.json"] = images.index_json([images.descriptor(raw, images.MANIFEST)])
    found = check(files)
    assert codes(found) == (["document"] if runs else [])
    assert check(files, profile="compat").ok


def test_j01_a_manifest_announced_as_something_else_is_a_problem(check):
    entry = images.root_entries(SOUND)[0] | {"mediaType": "application/x"}
    files = images.layout_files(SOUND) | {"index.json": images.index_json([entry])}
    found = check(files)
    assert codes(found) == ["media_type"]


def test_j13_a_foreign_layer_may_be_elsewhere(check):
    foreign = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    layer = SOUND.layers[0]._replace(media_type=foreign)
    files = images.layout_files(Sample((layer, SOUND.layers[1])))
    del files[images.blob_name(layer.blob)]
    found = check(files)
    assert (found.ok, [finding.code for finding in found.findings]) == (True, ["foreign"])


def test_a_platform_that_differs_from_the_config_is_a_problem(check):
    entry = images.root_entries(SOUND)[0]
    entry["platform"] = {"os": "linux", "architecture": "arm64"}
    files = images.layout_files(SOUND) | {"index.json": images.index_json([entry])}
    assert codes(check(files)) == ["platform"]
    assert check(files, profile="compat").ok


@pytest.mark.parametrize(("name", "said"), [("a b", "not a name"), ("x", "2 images")])
def test_names_are_names_and_mean_one_image(check, name, said):
    files = images.layout_files(replace(SOUND, names=(name,)), replace(OTHER, names=("x",)))
    found = check(files)
    assert codes(found) == ["name"]
    assert said in found.problems[0].text


def test_the_version_of_a_layout_is_checked_and_the_rest_looked_at(check):
    files = images.layout_files(SOUND) | {"oci-layout": b'{"imageLayoutVersion":"2.0.0"}'}
    files = break_blob(files, SOUND.layers[0].blob, flip)
    assert codes(check(files)) == ["document", "digest", "compression"]


def test_an_index_that_is_broken_leaves_the_blobs_to_be_verified(check):
    files = images.layout_files(SOUND) | {"index.json": b"{"}
    files = break_blob(files, SOUND.layers[0].blob, flip)
    found = check(files)
    assert codes(found) == ["document", "digest"]
    assert len(found.unreachable) == 4
