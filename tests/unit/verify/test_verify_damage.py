"""The law of `verify`: no byte can change unseen, and none can be missing.

Bytes are *free* when nothing in the store can say what they are to be, and no reader of images
looks at them. They are named here one kind at a time, with the reason; all others are damaged.
"""

import gzip
import io
import json
import tarfile
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import images
from support.damage import flip
from support.images import Sample
from support.layers import make_layer

from ocifast.errors import OcifastError
from ocifast.ops.verify import verify

BLOCK = 512
SMALL = Sample((make_layer("gzip", 5, files=1, size=600),), ("example.com/app:1",))
ARCHIVES = {
    "oci-archive": images.layout_files(SMALL),
    **{f"docker-archive {v}": images.docker_files(SMALL, variant=v) for v in "BCDEF"},
}
masks = st.integers(1, 255)


def is_sound(ref, engine):
    """Whether verify finds nothing wrong; an archive it refuses is found wrong, too."""
    try:
        return verify(ref, engine=engine, workers=0).ok
    except OcifastError:
        return False


@pytest.fixture
def sound(here):
    return lambda ref: is_sound(ref, here)


def promises(raw):
    """What index.json says about bytes.

    Free is the rest: names are given by people, so nothing can tell that one is not meant; so are
    other annotations, and the media type of the index itself, which is optional, under another key.
    """
    try:
        value = json.loads(raw)
        entries = [(e["mediaType"], e["digest"], e["size"]) for e in value["manifests"]]
        return value["schemaVersion"], entries
    except (ValueError, LookupError, TypeError):
        return None


def saved(raw):
    """What manifest.json says about bytes; free are names, as in index.json."""
    try:
        return [(image["Config"], image["Layers"]) for image in json.loads(raw)]
    except (ValueError, LookupError, TypeError):
        return None


SAYS = {"index.json": promises, "manifest.json": saved}


@cache
def packed(form):
    """An archive, and its members: where each has its payload."""
    raw = images.tar_of(ARCHIVES[form])
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        return raw, [(member.name, member.offset_data, member.size) for member in tar]


def checksum(raw, at):
    """The number a header gives as its checksum; digits may be spelt with spaces and NULs."""
    field = raw[at - at % BLOCK + 148 : at - at % BLOCK + 156].strip(b" \0")
    return int(field, 8) if field and set(field) <= set(b"01234567") else None


def is_free(form, at, damaged):
    """Whether a byte of an archive is one nobody can miss."""
    raw, members = packed(form)
    for name, start, size in members:
        if start + size <= at < start + -(-size // BLOCK) * BLOCK:
            return True  # what fills the last block of a member up: tar says nothing about it
        if start - BLOCK + 148 <= at < start - BLOCK + 156:
            return checksum(raw, at) == checksum(damaged, at)
        if not start <= at < start + size:
            continue
        if form.startswith("docker") and name.endswith(("repositories", "/json", "/VERSION")):
            return True  # documents for Docker before 1.10, which has not heard of manifest.json
        if name in SAYS:
            says = SAYS[name]
            return says(raw[start : start + size]) == says(damaged[start : start + size])
    return False


@pytest.mark.parametrize("name", ["oci-layout", "index.json", "config", "manifest"])
@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80])
def test_no_byte_of_a_document_can_change_unseen(sound, tmp_path, name, mask):
    files = images.layout_files(SMALL)
    root = images.write_folder(tmp_path / "store", files)
    name = images.blob_name(getattr(SMALL, name)) if hasattr(SMALL, name) else name
    says = SAYS.get(name, lambda raw: raw)
    for at in range(len(files[name])):
        damaged = flip(files[name], at, mask)
        if says(damaged) != says(files[name]):
            (tmp_path / "store" / name).write_bytes(damaged)
            assert not sound(f"oci:{root}"), (name, at)


def test_no_byte_of_a_layer_can_change_unseen(sound, tmp_path):
    files = images.layout_files(SMALL)
    root = images.write_folder(tmp_path / "store", files)
    name = images.blob_name(SMALL.layers[0].blob)
    for at in range(0, len(files[name]), 3):
        (tmp_path / "store" / name).write_bytes(flip(files[name], at, 1 << at % 8))
        assert not sound(f"oci:{root}"), at


@pytest.mark.parametrize("form", ARCHIVES)
@settings(max_examples=150)
@given(data=st.data(), mask=masks)
def test_no_byte_of_an_archive_can_change_unseen(tmp_path_factory, form, data, mask):
    raw, _ = packed(form)
    at = data.draw(st.integers(0, len(raw) - 1))
    damaged = flip(raw, at, mask)
    path = tmp_path_factory.getbasetemp() / "damaged.tar"
    path.write_bytes(damaged)
    assert not is_sound(f"{form.split()[0]}:{path}", None) or is_free(form, at, damaged)


@pytest.mark.parametrize("form", ["oci-archive", "docker-archive D"])
def test_no_byte_of_a_header_can_change_unseen(sound, tmp_path, form):
    raw, members = packed(form)
    path = tmp_path / "damaged.tar"
    ends = [start + -(-size // BLOCK) * BLOCK for _, start, size in members]
    headers = [*(range(start - BLOCK, start) for _, start, _ in members), range(ends[-1], len(raw))]
    for header in headers:
        for at in header[::9]:
            damaged = flip(raw, at, 1 << at % 8)
            path.write_bytes(damaged)
            assert is_free(form, at, damaged) or not sound(f"{form.split()[0]}:{path}"), at


@pytest.mark.parametrize("form", ARCHIVES)
def test_an_archive_that_ends_early_is_never_sound(sound, tmp_path, form):
    raw, members = packed(form)
    path = tmp_path / "short.tar"
    end = members[-1][1] + -(-members[-1][2] // BLOCK) * BLOCK + 2 * BLOCK
    for length in {*range(0, end, 97), *range(0, end, BLOCK), end - 1}:
        path.write_bytes(raw[:length])
        assert not sound(f"{form.split()[0]}:{path}"), length
    path.write_bytes(raw[:end])  # zeros behind the end are no part of it
    assert sound(f"{form.split()[0]}:{path}")


def test_a_file_of_a_layout_that_ends_early_is_never_sound(sound, tmp_path):
    files = {name: raw for name, raw in images.layout_files(SMALL).items() if raw is not None}
    root = images.write_folder(tmp_path / "store", files)
    for name, raw in files.items():
        for length in range(0, len(raw), 7):
            (tmp_path / "store" / name).write_bytes(raw[:length])
            assert not sound(f"oci:{root}"), (name, length)
        (tmp_path / "store" / name).unlink()
        assert not sound(f"oci:{root}"), name
        (tmp_path / "store" / name).write_bytes(raw)


@pytest.mark.parametrize("form", ["oci-archive", "docker-archive D"])
@settings(max_examples=60)
@given(data=st.data(), mask=masks)
def test_no_byte_of_a_compressed_archive_can_change_unseen(tmp_path_factory, form, data, mask):
    raw, _ = packed(form)
    blob = images.squeeze(raw, "gzip")
    damaged = flip(blob, data.draw(st.integers(0, len(blob) - 1)), mask)
    path = tmp_path_factory.getbasetemp() / "damaged.tar.gz"
    path.write_bytes(damaged)
    if not is_sound(f"{form.split()[0]}:{path}", None):
        return
    # Free are the time and system in the header, and the bits that fill the last byte up.
    assert gzip.decompress(damaged) == raw
