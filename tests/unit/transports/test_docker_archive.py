"""Reading the output of `docker save` in all its forms, and refusing what does not add up."""

import json
from pathlib import Path

import pytest
from support.images import (
    DOCKER_VARIANTS,
    Link,
    Sample,
    blob_name,
    compact,
    docker_files,
    index_json,
    make_sample,
    plain_tar,
    root_entries,
    save_manifest,
    write_folder,
    write_tar,
)
from support.layers import sha256

from ocifast.errors import (
    DigestMismatch,
    DocumentError,
    FormatError,
    ImageNotFound,
    OcifastError,
    StoreError,
)
from ocifast.ops.image import open_image, open_store

SAMPLE = make_sample(1, names=("debian:12", "localhost:5000/team/app:v1"))
OTHER = make_sample(2, names=("busybox:latest",))


@pytest.fixture
def read(tmp_path: Path):
    """Write an archive and read it."""

    def run(files, selector: str = "", **options):
        path = write_tar(tmp_path / "save.tar", files)
        return open_store(f"docker-archive:{path}{selector}", **options)

    return run


def payloads(image):
    with open(image.store, "rb") as archive:
        for layer in image.layers:
            archive.seek(layer.location.offset)
            yield archive.read(layer.location.size)


@pytest.mark.parametrize("prefix", ["", "./"])
@pytest.mark.parametrize("variant", DOCKER_VARIANTS)
def test_every_form_gives_names_config_and_layers(
    tmp_path: Path, variant: str, prefix: str
) -> None:
    files = docker_files(SAMPLE, OTHER, variant=variant)
    path = write_tar(tmp_path / "save.tar", files, prefix=prefix)
    images = open_store(path)
    assert [image.names for image in images] == [SAMPLE.names, OTHER.names]
    for image, sample in zip(images, (SAMPLE, OTHER), strict=True):
        squeezed = variant in "DF"
        expected = [layer.blob if squeezed else plain_tar(layer) for layer in sample.layers]
        assert list(payloads(image)) == expected
        if variant == "A":
            assert len(image.legacy) == len(sample.layers)
            assert image.config.runtime.cmd == ("/bin/hello",)
            assert image.config.diff_ids == ()
        else:
            assert image.config_raw == sample.config
            assert [str(x.diff_id) for x in image.layers] == [x.diff_id for x in sample.layers]


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
@pytest.mark.parametrize("variant", DOCKER_VARIANTS)
def test_d05_every_form_may_be_compressed_as_a_whole(
    tmp_path: Path, variant: str, codec: str
) -> None:
    files = docker_files(SAMPLE, OTHER, variant=variant)
    images = open_store(write_tar(tmp_path / "save", files, codec=codec))
    assert [image.names for image in images] == [SAMPLE.names, OTHER.names]
    assert all(layer.location.open is None for image in images for layer in image.layers)


@pytest.mark.parametrize("variant", DOCKER_VARIANTS)
def test_every_form_may_be_unpacked_in_a_folder(tmp_path: Path, variant: str) -> None:
    path = write_folder(tmp_path / "save", docker_files(SAMPLE, OTHER, variant=variant))
    images = open_store(path)
    assert [image.names for image in images] == [SAMPLE.names, OTHER.names]
    assert all(layer.location for image in images for layer in image.layers)


@pytest.mark.parametrize("variant", DOCKER_VARIANTS)
def test_strict_reads_what_docker_writes_today_and_wrote(read, variant: str) -> None:
    assert len(read(docker_files(SAMPLE, OTHER, variant=variant), profile="strict")) == 2


@pytest.mark.parametrize("variant", DOCKER_VARIANTS)
@pytest.mark.parametrize(
    "selector", [":busybox", ":busybox:latest", ":docker.io/library/busybox", ":@1"]
)
def test_an_image_is_selected_by_name_or_number(read, variant: str, selector: str) -> None:
    (image,) = read(docker_files(SAMPLE, OTHER, variant=variant), selector)
    assert image.names == OTHER.names


@pytest.mark.parametrize("variant", DOCKER_VARIANTS)
@pytest.mark.parametrize("selector", [":nothing", ":@2", ":busybox:1"])
def test_what_is_not_in_an_archive_is_not_found(read, variant: str, selector: str) -> None:
    with pytest.raises(ImageNotFound, match="busybox:latest"):
        read(docker_files(SAMPLE, OTHER, variant=variant), selector)


def test_an_image_is_selected_by_its_id(read) -> None:
    (image,) = read(docker_files(SAMPLE, OTHER), f":@{OTHER.image_id}")
    assert image.names == OTHER.names


@pytest.mark.parametrize("variant", DOCKER_VARIANTS[1:])
def test_an_image_without_names_has_none(read, variant: str) -> None:
    (image,) = read(docker_files(Sample(SAMPLE.layers), variant=variant))
    assert image.names == ()


def test_a_legacy_archive_without_names_has_the_layers_nothing_is_built_on(read) -> None:
    files = docker_files(SAMPLE, OTHER, variant="A")
    files["repositories"] = b"{}"
    assert [len(image.layers) for image in read(files)] == [2, 2]
    del files["repositories"]
    assert len(read(files)) == 2


def test_a_layer_is_shared_by_a_link_or_named_twice(read) -> None:
    doubled = Sample((SAMPLE.layers[0], SAMPLE.layers[1], SAMPLE.layers[0]), ("twice:1",))
    for variant in "BCDEF":
        (image,) = read(docker_files(doubled, variant=variant))
        assert image.layers[0].location == image.layers[2].location


# --- hostile


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "x/../../../etc/passwd"])
@pytest.mark.parametrize("where", ["Config", "Layers"])
@pytest.mark.parametrize("form", ["tar", "folder"])
def test_d01_names_in_manifest_json_are_keys_not_paths(
    tmp_path: Path, name: str, where: str, form: str
) -> None:
    files = docker_files(SAMPLE)
    (entry,) = json.loads(files["manifest.json"])
    entry[where] = name if where == "Config" else [name, name.replace("etc", "tmp")]
    files["manifest.json"] = compact([entry])
    write = write_tar if form == "tar" else write_folder
    try:
        (image,) = open_store("docker-archive:" + write(tmp_path / "save", files))
    except OcifastError:
        return
    assert all(layer.location is None for layer in image.layers)


@pytest.mark.parametrize(
    "raw",
    [
        b"null",
        b"",
        b"{}",
        b"[null]",
        b"[{}]",
        b'[{"Config":""}]',
        b'[{"Config":"a","Config":"b","Layers":[]}]',
        b'[{"config":"a","Layers":[]}]',
        b"[" * 100000,
        b'[{"Config":"a","Layers":[' + b'"x",' * 2000 + b'"x"]}]',
        b" " * (5 << 20),
    ],
)
def test_d04_a_manifest_that_is_none_is_refused(read, raw: bytes) -> None:
    with pytest.raises(FormatError):
        read({**docker_files(SAMPLE), "manifest.json": raw})


def test_d04_an_archive_without_documents_holds_no_image(read) -> None:
    with pytest.raises(StoreError, match="holds no image"):
        read({"file": b"x"})


def test_d04_an_archive_may_hold_no_image_at_all(read) -> None:
    assert read({"manifest.json": b"[]"}) == ()


def test_d04_the_layers_must_be_those_of_the_index(read) -> None:
    files = docker_files(SAMPLE, variant="C")
    names = [blob_name(plain_tar(layer)) for layer in SAMPLE.layers]
    manifest = [(blob_name(SAMPLE.config), SAMPLE.names, list(reversed(names)))]
    files["manifest.json"] = save_manifest(manifest)
    with pytest.raises(StoreError, match="other layers than in index"):
        read(files)


def test_d04_an_image_of_manifest_json_must_be_in_the_index(read) -> None:
    files = docker_files(SAMPLE, OTHER, variant="D")
    files["index.json"] = index_json(root_entries(OTHER, containerd=True))
    with pytest.raises(StoreError, match=r"that index\.json does not name"):
        read(files)


@pytest.mark.parametrize("profile", ["strict", "compat"])
def test_an_image_saved_by_its_id_is_in_manifest_json_alone(tmp_path, profile) -> None:
    """Docker 25 names only images with tags in index.json; with none, its list is null."""
    other = Sample(OTHER.layers, ())
    files = docker_files(SAMPLE, other, variant="C")
    entries = json.loads(files["index.json"])["manifests"]
    files["index.json"] = index_json([entry for entry in entries if "annotations" in entry])
    images = open_store(write_tar(tmp_path / "both.tar", files), profile=profile)
    found = [image.config_descriptor.digest for image in images]
    assert found == [SAMPLE.image_id, other.image_id]
    files = docker_files(other, variant="C")
    files["index.json"] = b'{"schemaVersion":2,"manifests":null}'
    (image,) = open_store(write_tar(tmp_path / "one.tar", files), profile=profile)
    assert image.config_descriptor.digest == other.image_id


def test_d04_an_image_that_only_the_index_names_is_odd(read) -> None:
    files = docker_files(SAMPLE, OTHER, variant="D")
    layers = [blob_name(layer.blob) for layer in OTHER.layers]
    files["manifest.json"] = save_manifest([(blob_name(OTHER.config), OTHER.names, layers)])
    assert len(read(files)) == 2
    with pytest.raises(StoreError, match="does not list an image"):
        read(files, profile="strict")


def test_d04_a_tag_must_mean_the_same_image_in_both(read) -> None:
    files = docker_files(SAMPLE, OTHER, variant="D")
    swapped = [
        (blob_name(sample.config), other.names, [blob_name(x.blob) for x in sample.layers])
        for sample, other in ((SAMPLE, OTHER), (OTHER, SAMPLE))
    ]
    files["manifest.json"] = save_manifest(swapped)
    with pytest.raises(StoreError, match="is another image there"):
        read(files)


@pytest.mark.parametrize(
    "tag", ["a b:1", "a\x1b[31m:1", "a\n:1", "UPPER:1", "untagged", "a:1@sha256:" + "0" * 63, ""]
)
def test_d06_a_tag_that_is_none_is_refused(read, tag: str) -> None:
    files = docker_files(SAMPLE)
    (entry,) = json.loads(files["manifest.json"])
    files["manifest.json"] = compact([{**entry, "RepoTags": [tag]}])
    with pytest.raises(DocumentError, match="RepoTags") as error:
        read(files)
    assert str(error.value).isprintable()


def test_d04_a_config_that_is_not_the_one_of_its_name(read) -> None:
    files = docker_files(SAMPLE)
    name = SAMPLE.image_id[7:] + ".json"
    files[name] = SAMPLE.config.replace(b"/bin/hello", b"/bin/other")
    (image,) = read(files)
    assert "has the digest" in image.findings[0]
    with pytest.raises(DigestMismatch):
        read(files, profile="strict")
    hybrid = docker_files(SAMPLE, variant="C")
    del hybrid["index.json"]
    hybrid[blob_name(SAMPLE.config)] = files[name]
    with pytest.raises(DigestMismatch):
        read(hybrid)


def test_j10_as_many_layers_as_diff_ids(read) -> None:
    files = docker_files(SAMPLE)
    (entry,) = json.loads(files["manifest.json"])
    files["manifest.json"] = compact([{**entry, "Layers": entry["Layers"][:1]}])
    with pytest.raises(DocumentError, match="diff_ids"):
        read(files)


def test_one_file_cannot_be_two_layers(read) -> None:
    files = docker_files(SAMPLE)
    (entry,) = json.loads(files["manifest.json"])
    files["manifest.json"] = compact([{**entry, "Layers": [entry["Layers"][0]] * 2}])
    with pytest.raises(StoreError, match="different diff_ids"):
        read(files)


def test_a_layer_that_is_not_there_has_no_place(read) -> None:
    files = docker_files(SAMPLE, variant="E")
    del files[SAMPLE.layers[0].diff_id[7:] + ".tar"]
    (image,) = read(files)
    assert [layer.location is None for layer in image.layers] == [True, False]


@pytest.mark.parametrize("target", ["../../../etc/passwd", "/etc/passwd", "layer.tar"])
def test_d02_a_layer_that_is_a_link_out_of_the_archive_is_refused(read, target: str) -> None:
    files = docker_files(SAMPLE)
    name = next(name for name in files if name.endswith("/layer.tar"))
    files[name] = Link(target)
    with pytest.raises(StoreError):
        read(files)


def chain(files) -> list[str]:
    return [name for name in files if name.endswith("/json")]


@pytest.mark.parametrize("parent", ["self", "top", "f" * 64, "../../etc", "A" * 64])
def test_a_legacy_chain_that_does_not_end_is_refused(read, parent: str) -> None:
    files = docker_files(SAMPLE, variant="A")
    base, top = chain(files)
    value = json.loads(files[base])
    meant = {"self": base.partition("/")[0], "top": top.partition("/")[0]}
    files[base] = compact({**value, "parent": meant.get(parent, parent)})
    with pytest.raises(FormatError):
        read(files)


def test_a_legacy_tag_is_an_id_not_a_path(read) -> None:
    files = docker_files(SAMPLE, variant="A")
    files["repositories"] = b'{"debian":{"12":"../../etc"}}'
    with pytest.raises(DocumentError):
        read(files)


def test_a_pinned_config_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "save.tar", docker_files(SAMPLE, OTHER))
    image = open_image(f"docker-archive:{path}:@1")
    assert sha256(image.config_raw) == OTHER.image_id
