"""New documents for converted images: nothing changes that need not, and nothing is untrue."""

import json
from dataclasses import replace

import pytest
from support.documents import digest_of
from support.images import (
    CONFIG,
    MANIFEST,
    compact,
    descriptor,
    docker_files,
    layout_files,
    make_sample,
    write_folder,
    write_tar,
)
from support.rebuilding import (
    DOCKER,
    KEEP,
    LAYER,
    Results,
    as_docker,
    manifest_of,
    with_layer,
    with_manifest,
)

from ocifast.ops.image import open_store
from ocifast.ops.rebuild import rebuild
from ocifast.spec.manifest import Manifest
from ocifast.spec.media_type import codec_of, is_foreign, layer_media_type
from ocifast.transports.base import Image


@pytest.fixture
def image(tmp_path):
    (found,) = open_store(f"oci:{write_folder(tmp_path / 'in', layout_files(make_sample(1)))}")
    assert isinstance(found, Image)
    return found


# ---- nothing changes ----


def test_an_image_whose_layers_stay_is_kept_byte_for_byte(image):
    rebuilt = rebuild(image, KEEP)
    assert rebuilt.top == image.descriptor
    assert rebuilt.documents == [image.config_raw, image.manifest.raw]
    assert rebuilt.images[0].image_id == image.config_descriptor.digest
    assert rebuilt.images[0].diff_ids == tuple(map(str, image.config.diff_ids))
    assert (rebuilt.opaque, rebuilt.findings) == ([], [])


@pytest.mark.parametrize(
    "changes",
    [
        {"annotations": {"a": "b", "io.containers.estargz.x": "of the manifest"}},
        {"future": {"x": [1, 2]}},
        {"artifactType": "application/x"},
        {"subject": descriptor(b"other", MANIFEST)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_a_manifest_says_besides_is_kept_in_bytes_and_when_it_is_written_anew(changes, image):
    image = with_manifest(image, **changes)
    assert manifest_of(rebuild(image, KEEP)).raw == image.manifest.raw
    written = json.loads(manifest_of(rebuild(image, Results("zstd"))).raw)
    assert written.items() >= changes.items()


def test_odd_formatting_is_kept_too(image):
    raw = json.dumps(json.loads(image.manifest.raw), indent=7).encode() + b"\n"
    odd = replace(image, manifest=Manifest.parse(raw, document="m"))
    assert manifest_of(rebuild(odd, KEEP)).raw == raw


def test_a_descriptor_in_an_index_that_stays_keeps_all_it_says(image):
    old = replace(image.descriptor, data=image.manifest.raw, urls=("https://x.example/m",))
    assert rebuild(replace(image, descriptor=old), KEEP).top == old
    moved = rebuild(replace(image, descriptor=old), Results("zstd")).top
    assert (moved.data, moved.urls) == (None, ())


# ---- layers change ----


@pytest.mark.parametrize("codec", ["gzip", "zstd", "identity"])
def test_new_blobs_are_named_in_order_and_the_config_stays(codec, image):
    rebuilt = rebuild(image, Results(codec))
    manifest = manifest_of(rebuilt)
    assert [x.digest for x in manifest.layers] == [
        digest_of(f"{codec}  {layer.diff_id}") for layer in image.layers
    ]
    assert {x.media_type for x in manifest.layers} == {layer_media_type(codec)}
    assert manifest.config == image.config_descriptor
    assert rebuilt.images[0].config_raw == image.config_raw
    assert (rebuilt.top.digest, rebuilt.top.size) == (manifest.digest, len(manifest.raw))
    assert [x.digest for x in rebuilt.blobs()] == [
        *(x.digest for x in manifest.layers),
        manifest.config.digest,
        manifest.digest,
    ]


def test_annotations_that_describe_old_bytes_go_and_others_stay(image):
    annotations = {
        "io.github.containers.zstd-chunked.manifest-checksum": "sha256:x",
        "io.containers.estargz.uncompressed-size": "5",
        "containerd.io/snapshot/stargz/toc.digest": "sha256:y",
        "com.amazon.soci.index-digest": "sha256:z",
        "org.example.kept": "1",
    }
    image = with_layer(image, annotations=annotations, future=1, urls=["https://x.example/b"])
    same = manifest_of(rebuild(image, KEEP)).layers[0]
    assert (dict(same.annotations), same.urls) == (annotations, ("https://x.example/b",))
    new = manifest_of(rebuild(image, Results("zstd"))).layers[0]
    assert dict(new.annotations) == {"org.example.kept": "1"}
    assert (new.urls, new.data, dict(new.extra)) == ((), None, {"future": 1})


def test_a_media_type_that_lies_about_kept_bytes_is_put_right(image):
    class Honest(Results):
        def new_layer(self, layer):
            return replace(super().new_layer(layer), media_type=LAYER + "+zstd")

    manifest = manifest_of(rebuild(image, Honest()))
    assert {x.media_type for x in manifest.layers} == {LAYER + "+zstd"}
    assert [x.digest for x in manifest.layers] == [x.digest for x in image.manifest.layers]


# ---- from Docker ----


def test_a_manifest_of_docker_becomes_one_of_oci_with_the_same_blobs(image):
    rebuilt = rebuild(as_docker(image), KEEP)
    manifest = manifest_of(rebuilt)
    assert (manifest.media_type, manifest.config.media_type) == (MANIFEST, CONFIG)
    assert manifest.raw == image.manifest.raw
    assert rebuilt.images[0].image_id == image.config_descriptor.digest
    assert rebuilt.top.media_type == MANIFEST


@pytest.mark.parametrize("variant", "BCDEF")
def test_an_archive_of_docker_save_gets_a_manifest(variant, tmp_path):
    sample = make_sample(1)
    path = write_tar(tmp_path / "in.tar", docker_files(sample, variant=variant))
    (image,) = open_store(f"docker-archive:{path}")
    rebuilt = rebuild(image, Results("gzip"))
    assert rebuilt.images[0].image_id == sample.image_id
    assert rebuilt.images[0].diff_ids == tuple(layer.diff_id for layer in sample.layers)
    assert manifest_of(rebuilt).config.media_type == CONFIG


def test_an_archive_from_before_configs_gets_one_with_the_diff_ids_that_were_found(tmp_path):
    sample = make_sample(1)
    path = write_tar(tmp_path / "in.tar", docker_files(sample, variant="A"))
    (image,) = open_store(f"docker-archive:{path}")
    truth = {
        layer.name: each.diff_id for layer, each in zip(image.layers, sample.layers, strict=True)
    }

    class Found(Results):
        def diff_id(self, layer):
            return truth[layer.name]

    rebuilt = rebuild(image, Found("gzip"))
    config = json.loads(rebuilt.images[0].config_raw)
    assert config["rootfs"]["diff_ids"] == [layer.diff_id for layer in sample.layers]
    assert rebuilt.images[0].diff_ids == tuple(config["rootfs"]["diff_ids"])
    assert manifest_of(rebuilt).config.digest == digest_of(rebuilt.images[0].config_raw)


def test_a_config_that_oci_does_not_take_is_mended_and_its_embedded_copy_goes(image):
    raw = image.config_raw[:-1] + b',"author":null}'
    old = replace(image.config_descriptor, digest=digest_of(raw), size=len(raw), data=raw)
    rebuilt = rebuild(replace(image, config_raw=raw, config_descriptor=old), KEEP)
    config = manifest_of(rebuilt).config
    assert (config.digest, config.data) == (digest_of(rebuilt.images[0].config_raw), None)
    assert b"author" not in rebuilt.images[0].config_raw


# ---- layers that are not to be distributed ----


@pytest.mark.parametrize("docker", [False, True])
def test_j13_a_foreign_layer_that_is_not_here_keeps_its_urls(docker, image):
    kind = DOCKER + ".foreign.diff.tar.gzip" if docker else f"{LAYER}+gzip"
    kind = kind if docker else kind.replace("layer.v1", "layer.nondistributable.v1")
    urls = ["https://x.example/layer"]
    if docker:
        image = as_docker(image)
    image = with_layer(image, mediaType=kind, urls=urls)
    first, *others = image.layers
    image = replace(image, layers=(replace(first, location=None), *others))
    rebuilt = rebuild(image, Results("zstd"))
    new = manifest_of(rebuilt).layers[0]
    expected = LAYER.replace("layer.v1", "layer.nondistributable.v1") + "+gzip"
    assert (new.media_type, new.digest, new.urls) == (
        expected,
        first.descriptor.digest,
        tuple(urls),
    )
    assert new.digest not in {x.digest for x in rebuilt.blobs()}


def test_j13_a_foreign_layer_that_is_made_anew_stays_foreign_and_is_a_blob_of_ours(image):
    kind = LAYER.replace("layer.v1", "layer.nondistributable.v1") + "+gzip"
    rebuilt = rebuild(
        with_layer(image, mediaType=kind, urls=["https://x.example"]), Results("zstd")
    )
    new = manifest_of(rebuilt).layers[0]
    assert is_foreign(new.media_type)
    assert codec_of(new.media_type) == "zstd"
    assert new.urls == ()
    assert new.digest in {x.digest for x in rebuilt.blobs()}


# ---- artifacts ----


def test_j12_an_artifact_is_kept_whole_even_when_its_types_are_strange(image):
    value = json.loads(image.manifest.raw)
    value["config"]["mediaType"] = "application/vnd.oci.empty.v1+json"
    for layer in value["layers"]:
        layer["mediaType"] = "application/vnd.in-toto+json"
    raw = compact({**value, "artifactType": "application/x"})
    manifest = Manifest.parse(raw, document="m")
    layers = tuple(
        replace(old, descriptor=new, diff_id=None)
        for old, new in zip(image.layers, manifest.layers, strict=True)
    )
    artifact = replace(
        image, manifest=manifest, config=None, config_descriptor=manifest.config, layers=layers
    )
    rebuilt = rebuild(artifact, Results("zstd"))
    assert manifest_of(rebuilt).raw == raw
    assert rebuilt.images[0].diff_ids is None
