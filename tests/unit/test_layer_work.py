"""What a run has to do once: layers that are the same are found to be, and no others."""

from dataclasses import replace

import pytest
from support.images import (
    docker_files,
    layout_files,
    make_sample,
    write_folder,
    write_tar,
)
from support.layers import LAYER, make_layer, sha256
from support.processes import nothing_left

from ocifast.codecs.recipe import recipe
from ocifast.errors import CompressedDataError, DiffIdMismatch, DigestMismatch
from ocifast.ops.conversion import ConvertedLayer
from ocifast.ops.image import open_store
from ocifast.ops.layer_work import Works
from ocifast.transports.base import Image, Location

HOWS = [None, "gzip", "zstd", "none"]
FORMAT = {"gzip": "gzip", "zstd": "zstd", "none": "plain"}


def works_for(how, *, force=False):
    return Works(None if how is None else recipe(how), force=force)


def store(path, *samples, variant=None):
    """The images of a layout, or of an archive of `docker save`."""
    if variant is None:
        return open_store(f"oci:{write_folder(path, layout_files(*samples))}")
    archive = write_tar(f"{path}.tar", docker_files(*samples, variant=variant))
    return open_store(f"docker-archive:{archive}")


def note(works, images):
    return [works.add(layer, image) for image in images for layer in image.layers]


# ---- what is the same ----


@pytest.mark.parametrize("how", HOWS)
def test_layers_that_images_share_are_done_once(how, tmp_path):
    one = make_sample(1, 2, names=("a:1",))
    two = replace(make_sample(2, 2, names=("b:1",)), layers=(one.layers[0], *one.layers))
    works = works_for(how)
    with nothing_left():
        found = note(works, store(tmp_path / "in", one, two))
    assert found[0] is found[2] is found[3]
    assert found[1] is found[4]
    assert [work.users for work in works] == [3, 2]
    assert [len(work.copies) for work in works] == [1, 1]


@pytest.mark.parametrize("how", ["gzip", "zstd", "none"])
def test_the_same_tar_squeezed_differently_is_one_layer(how, tmp_path):
    works = works_for(how)
    for codec in ("plain", "gzip", "zstd"):
        note(works, store(tmp_path / codec, make_sample(1, 2, codec)))
    assert len(works) == 2
    for work in works:
        assert work.users == len(work.copies) == 3
        assert work.copy.codec == ("identity" if how == "none" else how)
        assert not work.encode


def test_where_bytes_are_kept_the_same_tar_in_other_bytes_is_another_layer(tmp_path):
    works = works_for(None)
    for codec in ("plain", "gzip", "zstd"):
        note(works, store(tmp_path / codec, make_sample(1, 2, codec)))
    assert len(works) == 6
    assert not any(work.encode for work in works)


def test_layers_nobody_promises_anything_of_are_the_same_only_in_one_place(tmp_path):
    sample = make_sample(1, 2)
    works = works_for("gzip")
    for name in ("x", "y"):
        note(works, store(tmp_path / name, sample, variant="A"))
    assert len(works) == 4
    note(works, open_store(f"docker-archive:{tmp_path}/x.tar"))
    assert len(works) == 4


def test_an_archive_that_links_equal_layers_has_one_copy_of_them(tmp_path):
    sample = make_sample(1, 1, names=("a:1",))
    other = replace(sample, names=("b:1",), layers=sample.layers * 2)
    works = works_for("gzip")
    note(works, store(tmp_path / "in", sample, other, variant="E"))
    (work,) = works
    assert (work.users, len(work.copies)) == (3, 1)


def test_two_blobs_of_one_layout_are_two_copies(tmp_path):
    """Files of a folder all begin at 0: their names tell them apart."""
    works = works_for("zstd")
    samples = [make_sample(1, 1, codec, names=(codec,)) for codec in ("plain", "gzip", "zstd")]
    note(works, store(tmp_path / "in", *samples))
    (work,) = works
    assert [copy.codec for copy in work.copies] == ["zstd", "identity", "gzip"]


def test_configs_that_disagree_about_a_kept_blob_are_both_checked(tmp_path):
    """Else the one that lies is believed because of the one that does not."""
    layer = make_layer("gzip", 5, 3)
    honest = replace(make_sample(1, 1, names=("a",)), layers=(layer,))
    liar = replace(honest, names=("b",), layers=(layer._replace(diff_id=sha256(b"lie")),))
    works = works_for(None)
    note(works, store(tmp_path / "in", honest, liar))
    assert [work.copy.layer.diff_id for work in works] == [layer.diff_id, sha256(b"lie")]


# ---- what is to be done with it ----


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("how", ["gzip", "zstd", "none"])
@pytest.mark.parametrize("codec", ["gzip", "zstd", "plain"])
def test_what_has_the_format_is_kept_unless_it_is_forced(codec, how, force, tmp_path):
    works = works_for(how, force=force)
    note(works, store(tmp_path / "in", make_sample(1, 1, codec)))
    (work,) = works
    same = FORMAT[how] == codec
    assert work.encode is (not same or (force and how != "none"))


def test_the_next_copy_is_made_anew_where_it_has_not_the_format(tmp_path):
    works = works_for("zstd")
    for codec in ("gzip", "zstd"):
        note(works, store(tmp_path / codec, make_sample(1, 1, codec)))
    (work,) = works
    assert not work.encode
    cheap = work.cost
    work.error = CompressedDataError("zstd", 5, "corrupt")
    work.error.add_note("layer x of y")
    work.next_copy()
    assert (work.copy.codec, work.encode, work.error) == ("gzip", True, None)
    assert work.cost > cheap
    assert work.damages == ("zstd offset 5: corrupt; layer x of y; another copy was used",)


def test_costs_order_layers_by_what_they_take(tmp_path):
    works = works_for("gzip")
    note(works, store(tmp_path / "a", make_sample(1, 1, "gzip")))
    note(works, store(tmp_path / "b", make_sample(2, 1, "zstd")))
    kept, made = works
    assert made.cost / made.size > 5 * kept.cost / kept.size


def test_how_a_layer_is_stored_is_seen_in_its_bytes_not_in_its_type(tmp_path):
    layer = make_layer("zstd", 3, 3)._replace(media_type=LAYER + "+gzip")
    works = works_for("gzip")
    note(works, store(tmp_path / "in", replace(make_sample(1, 1), layers=(layer,))))
    (work,) = works
    assert work.copy.codec == "zstd"
    assert work.encode


# ---- blobs that are no layers ----


def artifact(image):
    return replace(image, config=None, layers=tuple(replace(x, diff_id=None) for x in image.layers))


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("order", [1, -1])
def test_a_blob_of_an_artifact_is_never_made_anew_even_if_a_layer_is_the_same(how, order, tmp_path):
    (image,) = store(tmp_path / "in", make_sample(1, 1, "gzip"))
    assert isinstance(image, Image)
    works = works_for(how, force=True)
    note(works, [image, artifact(image)][::order])
    assert sorted(work.opaque for work in works) == [False, True]
    for work in works:
        assert work.encode is (how is not None and not work.opaque)


def test_a_layer_without_a_diff_id_is_not_taken_for_a_blob_of_an_artifact(tmp_path):
    (image,) = store(tmp_path / "in", make_sample(1, 1, "gzip"))
    without = replace(image, layers=artifact(image).layers)
    works = works_for("zstd")
    note(works, [artifact(image), without])
    assert sorted((work.opaque, work.encode) for work in works) == [(False, True), (True, False)]


def test_equal_blobs_of_artifacts_are_done_once(tmp_path):
    (image,) = store(tmp_path / "in", make_sample(1, 1, "gzip"))
    works = works_for("zstd")
    note(works, [artifact(image), artifact(image)])
    assert [work.users for work in works] == [2]


def test_a_layer_that_is_not_in_the_store_is_none(tmp_path):
    (image,) = store(tmp_path / "in", make_sample(1, 1))
    works = works_for("gzip")
    assert works.add(replace(image.layers[0], location=None), image) is None
    assert len(works) == 0


def test_a_layer_that_cannot_be_opened_is_an_error_and_no_descriptor_is_lost(tmp_path):
    (image,) = store(tmp_path / "in", make_sample(1, 1))
    location = image.layers[0].location

    def refusing():
        raise PermissionError(13, "Permission denied")

    with nothing_left(), pytest.raises(PermissionError):
        works_for("gzip").add(
            replace(image.layers[0], location=location._replace(open=refusing)), image
        )


# ---- streams ----


def streamed(image):
    """The same image in an archive that can only be read front to back."""
    layers = tuple(
        replace(x, location=Location(None, 512 * (n + 1), x.location.size))
        for n, x in enumerate(image.layers)
    )
    return replace(image, store="-", layers=layers)


def done_as(layer, *, digest=None):
    return ConvertedLayer(
        diff_id=layer.diff_id,
        source_digest=digest or layer.digest,
        source_size=len(layer.blob),
        uncompressed_size=layer.uncompressed_size,
        media_type=layer.media_type,
        digest=layer.digest,
        size=len(layer.blob),
        recipe=None,
        how="compressed",
        seconds=0.1,
        source_diff_id=layer.diff_id,
    )


def test_a_layer_that_came_by_is_not_done_again_and_held_against_what_is_said_later(tmp_path):
    sample = make_sample(1, 1)
    (image,) = store(tmp_path / "in", sample)
    image = streamed(image)
    (layer,) = image.layers
    for done, error in [
        (done_as(sample.layers[0]), None),
        (done_as(sample.layers[0], digest=sha256(b"other")), DigestMismatch),
        (replace(done_as(sample.layers[0]), source_diff_id=sha256(b"other")), DiffIdMismatch),
    ]:
        works = works_for("gzip")
        met = works.meet("-", "layer.tar", layer.location, "gzip")
        met.done = done
        if error is None:
            assert works.add(layer, image) is met
        else:
            with pytest.raises(error):
                works.add(layer, image)
        assert len(works) == 0


def test_a_layer_that_came_by_damaged_is_that_error(tmp_path):
    (image,) = map(streamed, store(tmp_path / "in", make_sample(1, 1)))
    works = works_for("gzip")
    met = works.meet("-", "layer.tar", image.layers[0].location, "gzip")
    met.error = CompressedDataError("gzip", 5, "corrupt")
    with pytest.raises(CompressedDataError):
        works.add(image.layers[0], image)
