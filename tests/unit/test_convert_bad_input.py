"""`convert` and bad input: a clear error of the right kind, and no image under a final name."""

import io
import json
import os
import random
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support.converting import run, sound, spoil, truth, truths
from support.images import (
    CONFIG,
    INDEX,
    MANIFEST,
    REF_NAME,
    Link,
    Sample,
    blob_name,
    compact,
    descriptor,
    docker_files,
    index_json,
    layout_files,
    make_sample,
    tar_of,
    write_folder,
    write_tar,
)
from support.layers import make_layer, make_tar, sha256, squeeze, zstd

from ocifast.errors import OcifastError
from ocifast.limits import Limits

APP = make_sample(1, names=("app:1",))
PLAIN = APP.plain
TOP = json.loads(APP.manifest)
SMALL = Limits(output_bytes=1 << 20, ratio=50, ratio_grace_bytes=1 << 16)


def layout(manifest: bytes = APP.manifest, config: bytes = APP.config, **blobs: bytes) -> dict:
    """The layout of APP with other documents; descriptors fit what they describe."""
    files = layout_files(APP)
    for blob in (manifest, config, *blobs.values()):
        files[blob_name(blob)] = blob
    files["index.json"] = index_json(
        [descriptor(manifest, MANIFEST, annotations={REF_NAME: "app:1"})]
    )
    return files


def with_config(**changes: object) -> dict:
    """The layout of APP whose config is changed, and the manifest with it."""
    config = compact({**json.loads(APP.config), **changes})
    return layout(compact({**TOP, "config": descriptor(config, CONFIG)}), config)


def with_raw_config(config: bytes) -> dict:
    return layout(compact({**TOP, "config": descriptor(config, CONFIG)}), config)


def with_manifest(**changes: object) -> dict:
    return layout(compact({**TOP, **changes}))


def with_layer(blob: bytes, diff_id: str | None = None, ending: str = "+gzip") -> dict:
    """A layout of an image with this one layer."""
    layer = make_layer("gzip", 1)._replace(
        blob=blob,
        digest=sha256(blob),
        media_type=f"application/vnd.oci.image.layer.v1.tar{ending}",
        diff_id=diff_id or sha256(b"unknown"),
    )
    return layout_files(Sample((layer,), ("app:1",)))


def nested(depth: int) -> dict:
    files = layout_files(APP)
    raw, kind = APP.manifest, MANIFEST
    for _ in range(depth):
        raw = compact(
            {"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(raw, kind)]}
        )
        kind, files[blob_name(raw)] = INDEX, raw
    return {**files, "index.json": index_json([descriptor(raw, INDEX)])}


def changed(files: dict, name: str, content: object) -> dict:
    assert name in files
    return {**files, name: content}


def bomb(codec: str) -> bytes:
    return squeeze(make_tar(1, 1)[:-10240] + bytes(8 << 20), codec)


LAYER = blob_name(APP.layers[0].blob)
ROOT = json.loads(layout_files(APP)["index.json"])["manifests"][0]
LAYERS = TOP["layers"]
OTHER = make_sample(5, names=("app:1",))

LAYOUTS: dict[str, tuple[Callable[[], dict], int, str]] = {
    "j01 a manifest that is an index as well": (
        lambda: with_manifest(manifests=[ROOT]), 4, "manifests"),
    "j01 a media type that is another one's": (
        lambda: with_manifest(mediaType=INDEX), 4, "mediaType"),
    "j02 a key twice": (
        lambda: layout(APP.manifest[:-1] + b',"layers":[]}'), 4, "layers"),
    "j02 a key in another case": (
        lambda: layout(APP.manifest[:-1] + b',"Layers":[]}'), 4, "Layers"),
    "j02 a key of the config twice": (
        lambda: with_raw_config(APP.config[:-1] + b',"rootfs":{}}'), 4, "rootfs"),
    "j03 a size that is a fraction": (
        lambda: with_manifest(layers=[{**LAYERS[0], "size": 1.5}, LAYERS[1]]), 4, "size"),
    "j03 a size below nothing": (
        lambda: with_manifest(layers=[{**LAYERS[0], "size": -1}, LAYERS[1]]), 4, "size"),
    "j03 NaN": (lambda: layout(APP.manifest[:-1] + b',"x":NaN}'), 4, "NaN"),
    "j03 data behind the document": (lambda: layout(APP.manifest + b"{}"), 4, "sha256"),
    "j04 a deep document": (
        lambda: layout(APP.manifest[:-1] + b',"x":' + b"[" * 99 + b"]" * 99 + b"}"), 4, "deep"),
    "j04 more layers than there may be": (
        lambda: with_manifest(layers=[LAYERS[0]] * 2000), 4, "layers"),
    "j05 indexes nested too deep": (lambda: nested(12), 4, "nested"),
    "j06 a layer shorter than promised": (
        lambda: changed(layout(), LAYER, APP.layers[0].blob[:-1]), 1, "size"),
    "j06 a layer longer than promised": (
        lambda: changed(layout(), LAYER, APP.layers[0].blob + b"\0"), 1, "size"),
    "j06 a manifest of another size": (
        lambda: changed(layout(), blob_name(APP.manifest), APP.manifest + b" "), 1, "size"),
    "j06 another layer": (
        lambda: changed(layout(), LAYER, bytes(len(APP.layers[0].blob))), 1, "digest"),
    "j07 a digest that is a path": (
        lambda: with_manifest(layers=[{**LAYERS[0], "digest": "sha256:../../etc/passwd"}]),
        4, "digest"),
    "j07 a digest in capitals": (
        lambda: with_manifest(config={**TOP["config"], "digest": APP.image_id.upper()}),
        4, "digest"),
    "j08 another config": (
        lambda: changed(layout(), blob_name(APP.config), APP.config.replace(b"linux", b"lunix")),
        1, "digest"),
    "j09 embedded data that are others": (
        lambda: with_manifest(config={**TOP["config"], "data": "e30="}), 4, "data"),
    "j10 fewer diff_ids than layers": (
        lambda: with_config(rootfs={"type": "layers", "diff_ids": []}), 4, "diff_ids"),
    "j11 schema 1": (
        lambda: {**layout(), "index.json": index_json([descriptor(
            APP.manifest, "application/vnd.docker.distribution.manifest.v1+prettyjws")])},
        4, "v1"),
    "z01 a gzip bomb": (lambda: with_layer(bomb("gzip")), 4, "limit"),
    "z01 a zstd bomb": (lambda: with_layer(bomb("zstd"), ending="+zstd"), 4, "limit"),
    "z01 gzip in gzip": (
        lambda: with_layer(squeeze(squeeze(make_tar(1), "gzip"), "gzip")), 4, "tar"),
    "z03 a zstd frame that lies about its size": (
        lambda: with_layer(zstd.compress(make_tar(1), 1)[:-50], ending="+zstd"), 4, "zstd"),
    "z05 bytes behind the last member": (
        lambda: with_layer(squeeze(make_tar(1), "gzip") + b"trailing"), 4, "gzip"),
    "z06 a wrong checksum": (
        lambda: with_layer(squeeze(make_tar(1), "gzip")[:-8] + bytes(8)), 4, "gzip"),
    "z06 a layer that ends early": (
        lambda: with_layer(squeeze(make_tar(1), "gzip")[:-4]), 4, "gzip"),
    "z08 a diff_id that lies": (
        lambda: with_layer(squeeze(make_tar(1), "gzip"), sha256(b"lie")), 1, "diff_id"),
    "z08 the digest as diff_id": (
        lambda: with_layer(
            squeeze(make_tar(1), "gzip"), sha256(squeeze(make_tar(1), "gzip"))), 1, "diff_id"),
    "h a layer that is no tar": (
        lambda: with_layer(squeeze(b"text " * 500, "gzip")), 4, "tar"),
    "p20 a blob that is a link": (
        lambda: changed(layout(), LAYER, Link("/etc/hostname")), 4, "it is a link"),
    "p20 index.json is a link": (
        lambda: changed(layout(), "index.json", Link("oci-layout")), 4, "it is a link"),
    "p20 a folder that is a link": (
        lambda: {name: content for name, content in layout().items() if "blobs" not in name}
        | {"blobs": Link("/etc")}, 4, "blobs"),
    "a layout of another version": (
        lambda: changed(layout(), "oci-layout", b'{"imageLayoutVersion":"2.0.0"}'), 4, "version"),
    "a layout without a blob": (
        lambda: {name: content for name, content in layout().items() if name != LAYER},
        4, "missing"),
    "a layout without images": (
        lambda: {**layout(), "index.json": index_json([])}, 3, "no image"),
}  # fmt: skip


@pytest.fixture(params=["oci", "docker-archive"])
def convert_fails(tmp_path: Path, request) -> Callable[..., str]:
    """Convert in vain; gives the error's text with its notes."""

    def attempt(source: str, code: int, **options: object) -> str:
        dest = f"{request.param}:{tmp_path}/result"
        with pytest.raises((OcifastError, OSError)) as caught:
            run(source, dest, limits=SMALL, **options)
        assert getattr(caught.value, "exit_code", 6) == code, caught.value
        assert not os.path.exists(tmp_path / "result") or truths(dest) == {}
        report = run(source, dest, limits=SMALL, keep_going=True, **options)
        (image,) = report.images
        assert image.exit_code == code
        assert image.error
        assert not os.path.exists(tmp_path / "result") or truths(dest) == {}
        return image.error

    return attempt


@pytest.mark.parametrize("row", LAYOUTS)
def test_a_bad_layout_is_refused_and_nothing_is_shown_of_it(tmp_path, convert_fails, row) -> None:
    make, code, words = LAYOUTS[row]
    assert words in convert_fails(write_folder(tmp_path / "in", make()), code)


DOCKER = docker_files(APP)
ENTRY = json.loads(DOCKER["manifest.json"])[0]
HYBRID = docker_files(APP, variant="C")


def saved(**changes: object) -> dict:
    return {**DOCKER, "manifest.json": compact([{**ENTRY, **changes}])}


def twice(files: dict, name: str) -> list:
    return [*files.items(), (name, files[name])]


ARCHIVES: dict[str, tuple[Callable[[], object], int, str]] = {
    "d01 a config outside": (lambda: saved(Config="../../etc/passwd"), 4, "etc/passwd"),
    "d01 a layer outside": (
        lambda: saved(Layers=["../../etc/passwd", ENTRY["Layers"][1]]), 4, "etc/passwd"),
    "d01 an absolute layer": (
        lambda: saved(Layers=["/etc/passwd", ENTRY["Layers"][1]]), 4, "etc/passwd"),
    "d02 a layer that leads to itself": (
        lambda: {**DOCKER, ENTRY["Layers"][0]: Link("layer.tar")}, 4, "regular"),
    "d02 a layer that leads outside": (
        lambda: {**DOCKER, ENTRY["Layers"][0]: Link("../../../etc/passwd")}, 4, "leads"),
    "d03 manifest.json twice": (lambda: twice(DOCKER, "manifest.json"), 4, "twice"),
    "d03 a config twice": (lambda: twice(DOCKER, ENTRY["Config"]), 4, "twice"),
    "d04 manifest.json is null": (
        lambda: {**DOCKER, "manifest.json": b"null"}, 4, "array"),
    "d04 manifest.json is empty": (
        lambda: {**DOCKER, "manifest.json": b"[]"}, 3, "no image"),
    "d04 neither document": (lambda: {"readme.txt": b"hello"}, 4, "manifest.json"),
    "d04 a huge manifest.json": (
        lambda: {**DOCKER, "manifest.json": b"[" + random.Random(1).randbytes(9 << 20)}, 4,
        "manifest.json"),
    "d04 two documents that disagree about layers": (
        lambda: {**HYBRID, "manifest.json": compact(
            [{**json.loads(HYBRID["manifest.json"])[0],
              "Layers": json.loads(HYBRID["manifest.json"])[0]["Layers"][::-1]}])},
        4, "other layers"),
    "d04 two documents that disagree about images": (
        lambda: {**HYBRID, **docker_files(OTHER, variant="C"),
                 "index.json": HYBRID["index.json"]}, 4, "index.json does not name"),
    "d06 a tag that is none": (lambda: saved(RepoTags=["a b\x1b[31m:1"]), 4, "RepoTags"),
    "j10 as many layers as diff_ids": (lambda: saved(Layers=ENTRY["Layers"][:1]), 4, "layers"),
    "z08 layers that changed places": (
        lambda: saved(Layers=ENTRY["Layers"][::-1]), 1, "diff_id"),
    "a layer that is not there": (
        lambda: {name: content for name, content in DOCKER.items()
                 if name != ENTRY["Layers"][1]}, 4, "missing"),
    "a config that is not there": (lambda: saved(Config="0" * 64 + ".json"), 4, "no such file"),
}  # fmt: skip


@pytest.mark.parametrize("codec", ["plain", "gzip"])
@pytest.mark.parametrize("row", ARCHIVES)
def test_a_bad_archive_is_refused_and_nothing_is_shown_of_it(
    tmp_path, convert_fails, row, codec
) -> None:
    make, code, words = ARCHIVES[row]
    assert words in convert_fails(write_tar(tmp_path / "in.tar", make(), codec=codec), code)


def test_an_archive_that_ends_early_is_refused(tmp_path, convert_fails) -> None:
    whole = tar_of(docker_files(PLAIN, variant="E"))
    end = len(whole.rstrip(b"\0"))
    (tmp_path / "in.tar").write_bytes(whole[: end // 2])
    assert re.search("ends|no such file|manifest.json", convert_fails(f"{tmp_path}/in.tar", 4))


@pytest.mark.parametrize("data", [b"", b"x", b"text " * 500, bytes(20_000), b"\x1f\x8b", b"BZh9"])
def test_what_is_no_archive_is_refused(tmp_path, convert_fails, data: bytes) -> None:
    (tmp_path / "in.tar").write_bytes(data)
    convert_fails(f"{tmp_path}/in.tar", 4)


def test_d02_a_sparse_layer_is_refused(tmp_path, convert_fails) -> None:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in DOCKER.items():
            if isinstance(content, bytes):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                data = content
                if name == ENTRY["Layers"][0]:
                    member.pax_headers = {
                        "GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                        "GNU.sparse.name": name, "GNU.sparse.realsize": "0",
                    }  # fmt: skip
                    data = b"0\n".ljust(512, b"\0")
                    member.size = 512
                tar.addfile(member, io.BytesIO(data))
    (tmp_path / "in.tar").write_bytes(target.getvalue())
    assert "sparse" in convert_fails(f"{tmp_path}/in.tar", 4)


def test_z07_what_the_media_type_says_is_only_believed_when_it_is_so(tmp_path) -> None:
    files = with_layer(squeeze(make_tar(1), "zstd"), sha256(make_tar(1)), ending="+gzip")
    path = write_folder(tmp_path / "in", files)
    report = run(path, f"oci:{tmp_path}/out", compress="keep")
    assert report.layers[0].media_type.endswith("+zstd")
    assert sound(f"oci:{tmp_path}/out")
    with pytest.raises(OcifastError):
        run(path, f"oci:{tmp_path}/strict", profile="strict")


def test_z05_zeros_behind_a_layer_are_tolerated_and_told_unless_strict(tmp_path) -> None:
    files = with_layer(squeeze(make_tar(1), "gzip") + bytes(100), sha256(make_tar(1)))
    path = write_folder(tmp_path / "in", files)
    report = run(path, f"oci:{tmp_path}/out", force=True)
    assert any(layer.findings for layer in report.layers)
    with pytest.raises(OcifastError):
        run(path, f"oci:{tmp_path}/strict", profile="strict")


def test_j12_a_layer_of_unknown_type_is_copied_and_it_is_told(tmp_path) -> None:
    blob = b"whatever this is"
    manifest = {**TOP, "layers": [descriptor(blob, "application/vnd.example.blob")]}
    path = write_folder(tmp_path / "in", layout(compact(manifest), blob=blob))
    report = run(path, f"oci:{tmp_path}/out")
    assert report.layers[0].digest == sha256(blob)
    assert any("not looked into" in finding for finding in report.images[0].findings)


def test_j13_a_layer_that_is_fetched_from_elsewhere_stays_a_link(tmp_path) -> None:
    foreign = {
        **LAYERS[0],
        "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "urls": ["https://example.com/layer"],
    }
    files = with_manifest(layers=[foreign, LAYERS[1]])
    del files[LAYER]
    run(write_folder(tmp_path / "in", files), f"oci:{tmp_path}/out", compress="zstd")
    written = [
        json.loads(content)
        for content in map(Path.read_bytes, (tmp_path / "out/blobs/sha256").iterdir())
        if content[:1] == b"{" and b'"layers"' in content and b"schemaVersion" in content
    ]
    assert [manifest["layers"][0] for manifest in written] == [foreign]


def test_a_layer_that_lies_is_refused_even_if_another_archive_tells_the_truth(tmp_path) -> None:
    liar = spoil(write_tar(tmp_path / "liar.tar", docker_files(PLAIN)), APP.layers[0])
    with pytest.raises(OcifastError) as caught:
        run(liar, f"oci:{tmp_path}/out")
    assert caught.value.exit_code == 1
    honest = write_tar(tmp_path / "honest.tar", docker_files(PLAIN))
    assert run([liar, honest], f"oci:{tmp_path}/out").ok
    assert truths(f"oci:{tmp_path}/out") == truth(APP)
