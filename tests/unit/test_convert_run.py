"""What a run takes over from the one before it."""

import os
from dataclasses import replace

import pytest
from support.images import layout_files, make_sample, write_folder

from ocifast import Engine
from ocifast.codecs.recipe import recipe
from ocifast.limits import DEFAULT_LIMITS
from ocifast.ops.blob_places import BlobPlaces
from ocifast.ops.convert_run import LayerRun
from ocifast.ops.image import open_store
from ocifast.ops.journal import Journal
from ocifast.ops.layer_work import Works
from ocifast.transports.blob_store import BlobStore


@pytest.fixture
def folder(tmp_path):
    os.makedirs(tmp_path / "out" / "blobs" / "sha256")
    return tmp_path


def run(folder, how, codec, *, resume=True):
    """Convert the layers of a small image; which of them an earlier run has done."""
    source = write_folder(folder / codec, layout_files(make_sample(1, 2, codec)))
    chosen = None if how is None else recipe(how)
    with Engine(0) as engine, BlobStore(str(folder / "out")) as store:
        journal = Journal(str(folder / "journal")).__enter__()
        layers = LayerRun(
            engine=engine,
            store=BlobPlaces(store, linking=True),
            journal=journal,
            recipe=chosen,
            profile="compat",
            limits=DEFAULT_LIMITS,
            tell=lambda event: None,
        )
        works = Works(chosen, force=False)
        for image in open_store(f"oci:{source}"):
            for layer in image.layers:
                works.add(layer, image)
        resumed = [layers.resume(work) for work in works]
        layers.run(works, lambda work: None)
        journal.close(keep=True)
        for work in works:
            assert work.error is None
        return resumed, list(works)


@pytest.mark.parametrize("how", [None, "gzip", "zstd", "none"])
def test_what_an_earlier_run_has_done_is_not_done_again(how, folder):
    first, works = run(folder, how, "gzip")
    second, again = run(folder, how, "gzip")
    assert (first, second) == ([False] * 2, [True] * 2)
    assert [work.done.how for work in again] == ["resumed"] * 2
    for before, after in zip(works, again, strict=True):
        assert replace(after.done, how=before.done.how, seconds=before.done.seconds) == before.done


def test_a_blob_that_is_gone_is_made_again(folder):
    _, works = run(folder, "zstd", "gzip")
    (folder / "out/blobs/sha256" / works[0].done.digest.partition(":")[2]).unlink()
    resumed, again = run(folder, "zstd", "gzip")
    assert resumed == [False, True]
    assert again[0].done.digest == works[0].done.digest


def test_a_blob_that_was_kept_is_not_taken_where_another_codec_is_wanted(folder):
    """Kept by a run for gzip; the next one is for zstd, and would keep a copy that is zstd."""
    run(folder, "gzip", "gzip")
    resumed, works = run(folder, "zstd", "zstd")
    assert resumed == [False, False]
    assert {work.done.media_type.rpartition("+")[2] for work in works} == {"zstd"}
