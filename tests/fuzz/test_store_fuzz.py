"""Stores with anything in them: they are read, or refused with an error of ours, and never hang."""

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.images import (
    DOCKER_VARIANTS,
    Link,
    directory_files,
    docker_files,
    layout_files,
    make_sample,
    tar_of,
    write_folder,
)

from ocifast.errors import OcifastError
from ocifast.ops.inspect import inspect

SAMPLES = [make_sample(seed, names=(f"x:{seed}",)) for seed in (1, 2)]
STORES = {
    "layout": layout_files(*SAMPLES),
    "index": layout_files(*SAMPLES, index=True),
    "dir": directory_files(SAMPLES[0]),
    **{variant: docker_files(*SAMPLES, variant=variant) for variant in DOCKER_VARIANTS},
}
DOCUMENTS = {
    kind: [name for name, raw in files.items() if isinstance(raw, bytes) and len(raw) < 2000]
    for kind, files in STORES.items()
}


def look_at(reference: str) -> None:
    with contextlib.suppress(OcifastError):
        inspect(reference).to_dict()


@pytest.mark.parametrize("kind", STORES)
@given(data=st.data())
def test_a_document_with_other_bytes_in_it(kind: str, data) -> None:
    files = dict(STORES[kind])
    name = data.draw(st.sampled_from(DOCUMENTS[kind]))
    raw = bytearray(files[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=6))
        raw = raw or bytearray(b" ")
    files[name] = bytes(raw)
    with tempfile.TemporaryDirectory() as folder:
        look_at(write_folder(f"{folder}/store", files))
        (Path(folder) / "tar").write_bytes(tar_of(files))
        look_at(f"{folder}/tar")


@pytest.mark.parametrize("kind", ["layout", "B", "C"])
@given(data=st.data())
def test_an_archive_with_other_bytes_in_it(kind: str, data) -> None:
    raw = bytearray(tar_of(STORES[kind]))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    with tempfile.TemporaryDirectory() as folder:
        for content in (raw, raw[:cut]):
            (Path(folder) / "tar").write_bytes(content)
            look_at(f"{folder}/tar")


@pytest.mark.parametrize("kind", ["layout", "dir", "A", "B", "C"])
@given(data=st.data())
def test_members_that_are_links_or_missing_or_twice(kind: str, data) -> None:
    files = dict(STORES[kind])
    for name in data.draw(st.lists(st.sampled_from(sorted(files)), max_size=3)):
        target = data.draw(st.sampled_from([*files, "/etc/passwd", "../..", "", "x/../x"]))
        change = data.draw(st.sampled_from([None, Link(target), Link(target, hard=True), b"{}"]))
        files[name] = change
    twice = [*files.items(), *data.draw(st.lists(st.sampled_from(list(files.items())), max_size=2))]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tar").write_bytes(tar_of(twice))
        look_at(f"{folder}/tar")
