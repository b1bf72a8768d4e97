"""`convert`: every form of image into every other, and what is done to layers on the way."""

import os

import pytest
from support.converting import (
    FORMATS,
    SOURCES,
    images,
    left_over,
    media_types,
    run,
    snapshot,
    sound,
    truth,
    truths,
    write_source,
)
from support.images import Sample, docker_files, make_sample, write_tar
from support.layers import make_layer

from ocifast.errors import ReferenceSyntaxError, StoreError, UnknownRecipe
from ocifast.transports.base import Image

APP = make_sample(1, names=("example.com/team/app:1",))
TOOL = make_sample(2, names=("tool:2", "example.com/team/tool:latest"))
GZIP = "+gzip"
ENDINGS = {"gzip": "+gzip", "zstd": "+zstd", "none": ""}


# ---- transports ----


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("kind", SOURCES)
def test_every_form_of_an_image_becomes_every_other(tmp_path, kind: str, to: str) -> None:
    source = write_source(tmp_path, kind, APP)
    report = run(source, f"{to}:{tmp_path}/out")
    (image,) = report.images
    assert report.ok
    assert image.destination.startswith(f"{to}:{tmp_path}/out")
    assert sound(image.destination)
    found = truths(f"{to}:{tmp_path}/out")
    (found_id,) = found
    assert found_id == image.image_id
    names, diff_ids = found[found_id]
    assert diff_ids == [layer.diff_id for layer in APP.layers]
    assert names == (() if "dir" in (kind, to) else APP.names)
    if kind != "docker-archive-A":  # had no config
        assert found_id == APP.image_id
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("to", ["oci", "oci-archive", "docker-archive"])
@pytest.mark.parametrize("kind", ["oci", "oci-archive", "docker-archive", "docker-archive-D"])
def test_several_images_of_an_archive_stay_together(tmp_path, kind: str, to: str) -> None:
    source = write_source(tmp_path, kind, APP, TOOL)
    report = run(source, f"{to}:{tmp_path}/out")
    assert [image.names for image in report.images] == [APP.names, TOOL.names]
    assert truths(f"{to}:{tmp_path}/out") == truth(APP, TOOL)
    assert sound(f"{to}:{tmp_path}/out")


def test_one_of_several_images_is_taken_by_name_or_number(tmp_path) -> None:
    source = write_source(tmp_path, "docker-archive", APP, TOOL)
    run(f"{source}:{APP.names[0]}", f"oci:{tmp_path}/name")
    run(f"{source}:@1", f"oci:{tmp_path}/number")
    assert truths(f"oci:{tmp_path}/name") == truth(APP)
    assert truths(f"oci:{tmp_path}/number") == truth(TOOL)


def test_a_way_there_and_back_gives_the_same_image(tmp_path) -> None:
    source = write_source(tmp_path, "oci", APP)
    run(source, f"docker-archive:{tmp_path}/a.tar")
    run(f"docker-archive:{tmp_path}/a.tar", f"oci:{tmp_path}/back")
    assert truths(f"oci:{tmp_path}/back") == truth(APP)
    run(f"oci:{tmp_path}/back", f"docker-archive:{tmp_path}/b.tar")
    assert snapshot(tmp_path / "a.tar") == snapshot(tmp_path / "b.tar")


# ---- compression ----


@pytest.mark.parametrize("codec", ["plain", "gzip", "zstd"])
@pytest.mark.parametrize("compress", ["gzip", "zstd", "none"])
@pytest.mark.parametrize("to", ["oci", "docker-archive"])
def test_layers_get_the_compression_that_is_asked_for(tmp_path, codec, compress, to) -> None:
    source = write_source(tmp_path, "oci", make_sample(3, codec=codec))
    report = run(source, f"{to}:{tmp_path}/out", compress=compress)
    assert {layer.media_type.rpartition("tar")[2] for layer in report.layers} == {ENDINGS[compress]}
    assert sound(f"{to}:{tmp_path}/out")
    done_anew = codec != ("plain" if compress == "none" else compress)
    assert {layer.recipe is not None for layer in report.layers} == {done_anew}


@pytest.mark.parametrize("codec", ["plain", "gzip", "zstd"])
def test_keep_keeps_every_byte_of_every_layer(tmp_path, codec: str) -> None:
    sample = make_sample(4, codec=codec)
    report = run(write_source(tmp_path, "oci", sample), f"oci:{tmp_path}/out", compress="keep")
    assert report.recipe == "keep"
    assert report.bytes_written == 0
    assert [layer.digest for layer in report.layers] == [layer.digest for layer in sample.layers]
    (image,) = images(f"oci:{tmp_path}/out")
    assert image.manifest.raw == sample.manifest


@pytest.mark.parametrize(
    ("to", "ending"), [("oci", GZIP), ("oci-archive", GZIP), ("docker-archive", "")]
)
def test_without_a_word_layers_are_compressed_as_fits_the_format(tmp_path, to, ending) -> None:
    source = write_source(tmp_path, "docker-archive", APP)
    run(source, f"{to}:{tmp_path}/out")
    assert media_types(f"oci:{tmp_path}/out" if to == "oci" else f"{tmp_path}/out") == {ending}


def test_layers_of_mixed_compression_become_one(tmp_path) -> None:
    layers = tuple(
        make_layer(codec, 50 + n, 3) for n, codec in enumerate(("plain", "gzip", "zstd"))
    )
    sample = Sample(layers, ("mixed:1",))
    report = run(write_source(tmp_path, "oci", sample), f"oci:{tmp_path}/out")
    assert [layer.recipe is None for layer in report.layers] == [False, True, False]
    assert truths(f"oci:{tmp_path}/out") == truth(sample)


def test_a_level_and_a_recipe_by_name_make_other_bytes(tmp_path) -> None:
    source = write_source(tmp_path, "docker-archive", make_sample(5, count=1))
    found = {}
    for number, options in enumerate(
        ({}, {"level": 1}, {"level": 9}, {"compress": "zstd", "level": 1}, {"compress": "zstd"})
    ):
        report = run(source, f"oci:{tmp_path}/{number}", **options)
        found[report.recipe] = report.layers[0].digest
        assert report.layers[0].recipe == report.recipe
    assert len(found) == len(set(found.values())) == 5
    assert any("level=9" in name for name in found)


@pytest.mark.parametrize(
    "options",
    [
        {"level": 99},
        {"level": -1},
        {"compress": "zstd", "level": 20},
        {"recipe": "best"},
        {"compress": "keep", "level": 3},
        {"compress": "keep", "recipe": "zstd-long/1"},
        {"compress": "brotli"},
    ],
    ids=str,
)
def test_a_way_to_compress_that_there_is_not_is_refused_before_anything_is_made(
    tmp_path, options
) -> None:
    source = write_source(tmp_path, "docker-archive", APP)
    with pytest.raises(UnknownRecipe) as caught:
        run(source, f"oci:{tmp_path}/out", **options)
    assert caught.value.exit_code == 2
    assert os.listdir(tmp_path) == ["docker-archive"]


def test_force_makes_layers_anew_that_have_the_format(tmp_path) -> None:
    source = write_source(tmp_path, "oci", APP)
    kept = run(source, f"oci:{tmp_path}/kept")
    forced = run(source, f"oci:{tmp_path}/forced", force=True)
    assert {layer.recipe for layer in kept.layers} == {None}
    assert {layer.recipe for layer in forced.layers} == {forced.recipe}
    assert forced.layers[0].digest != APP.layers[0].digest
    assert truths(f"oci:{tmp_path}/forced") == truth(APP)


# ---- the same bytes ----


@pytest.mark.parametrize("compress", ["gzip", "zstd"])
@pytest.mark.parametrize("to", ["oci", "oci-archive", "docker-archive"])
def test_bytes_do_not_depend_on_the_number_of_workers(tmp_path, to: str, compress: str) -> None:
    from ocifast.ops.convert import convert

    big = Sample((make_layer("gzip", 60, 40, 120_000), *APP.layers), ("big:1",))
    source = write_source(tmp_path, "docker-archive", big, TOOL)
    found = []
    for workers in (0, 1, 2):
        out = tmp_path / f"out{workers}"
        convert(source, f"{to}:{out}", workers=workers, compress=compress)
        found.append(snapshot(out))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("to", ["oci", "oci-archive", "docker-archive"])
def test_images_stand_in_the_order_of_the_sources_whatever_is_done_first(tmp_path, to) -> None:
    sizes = {"c:1": 2, "a:1": 60, "d:1": 1, "b:1": 20}  # the longest layer is done first
    sources = [
        write_source(
            tmp_path / name[0],
            "docker-archive",
            Sample((make_layer("gzip", files, files),), () if name == "d:1" else (name,)),
        )
        for name, files in sizes.items()
    ]
    for options in ({}, {"overwrite": True}):
        run(sources, f"{to}:{tmp_path}/out", **options)
        found = [image.names for image in images(f"{to}:{tmp_path}/out")]
        assert found == [("c:1",), ("a:1",), (), ("b:1",)]


def test_bytes_do_not_depend_on_what_else_is_in_the_run(tmp_path) -> None:
    one = write_source(tmp_path / "1", "docker-archive", APP)
    two = write_source(tmp_path / "2", "docker-archive", TOOL)
    alone = run(one, f"oci:{tmp_path}/alone")
    both = run([two, one], f"oci:{tmp_path}/both")
    assert alone.images[0].digest == both.images[1].digest


# ---- names ----


def test_a_name_that_is_given_replaces_those_it_had(tmp_path) -> None:
    source = write_source(tmp_path, "docker-archive", TOOL)
    report = run(source, f"oci:{tmp_path}/out:mine:1")
    assert [image.names for image in images(f"oci:{tmp_path}/out")] == [("mine:1",)]
    assert report.images[0].destination == f"oci:{tmp_path}/out:mine:1"


def test_an_image_without_a_name_stays_without(tmp_path) -> None:
    nameless = make_sample(6, names=())
    source = write_source(tmp_path, "docker-archive", nameless)
    for to in ("oci", "docker-archive"):
        run(source, f"{to}:{tmp_path}/{to}-out")
        assert truths(f"{to}:{tmp_path}/{to}-out") == truth(nameless)


def test_one_name_for_two_images_is_refused_and_the_first_one_stays(tmp_path) -> None:
    other = Sample(TOOL.layers, APP.names)
    one = write_source(tmp_path / "1", "docker-archive", APP)
    two = write_source(tmp_path / "2", "docker-archive", other)
    with pytest.raises(StoreError, match=f"two different images.*: {one} has it"):
        run([one, two], f"oci:{tmp_path}/out")
    report = run([one, two], f"oci:{tmp_path}/out", keep_going=True)
    assert [image.error is None for image in report.images] == [True, False]
    assert truths(f"oci:{tmp_path}/out") == truth(APP)


def test_one_name_twice_for_the_same_image_is_fine(tmp_path) -> None:
    one = write_source(tmp_path / "1", "docker-archive", APP)
    two = write_source(tmp_path / "2", "oci", APP)
    report = run([one, two], f"oci:{tmp_path}/out", compress="zstd")
    assert report.images[0].digest == report.images[1].digest
    assert truths(f"oci:{tmp_path}/out") == truth(APP)


@pytest.mark.parametrize("to", ["oci-archive", "docker-archive"])
def test_the_same_image_twice_is_in_an_archive_once(tmp_path, to: str) -> None:
    one = write_source(tmp_path / "1", "docker-archive", APP)
    two = write_source(tmp_path / "2", "docker-archive", APP)
    run([one, two], f"{to}:{tmp_path}/out")
    assert truths(f"{to}:{tmp_path}/out") == truth(APP)


def test_an_image_of_two_names_from_two_archives_gets_both(tmp_path) -> None:
    one = write_source(tmp_path / "1", "docker-archive", APP)
    two = write_source(tmp_path / "2", "docker-archive", Sample(APP.layers, ("also:1",)))
    for to in ("oci", "oci-archive", "docker-archive"):
        run([one, two], f"{to}:{tmp_path}/{to}-out")
        (image,) = images(f"{to}:{tmp_path}/{to}-out")
        assert set(image.names) == {*APP.names, "also:1"}


def test_a_name_in_a_layout_moves_to_the_image_of_a_later_run(tmp_path) -> None:
    run(write_source(tmp_path / "1", "oci", APP, TOOL), f"oci:{tmp_path}/out")
    newer = Sample(make_sample(9).layers, APP.names)
    run(write_source(tmp_path / "2", "docker-archive", newer), f"oci:{tmp_path}/out")
    assert truths(f"oci:{tmp_path}/out") == truth(TOOL, newer)


# ---- outputs ----


@pytest.mark.parametrize("to", FORMATS)
def test_with_each_every_source_gets_an_output(tmp_path, to: str) -> None:
    one = write_source(tmp_path / "in", "docker-archive", APP)
    two = write_source(tmp_path / "in", "oci", make_sample(2))
    run([one, two], f"{to}:{tmp_path}/out", each=True)
    ending = ".tar" if to in ("oci-archive", "docker-archive") else ""
    assert sorted(os.listdir(tmp_path / "out")) == [f"docker-archive{ending}", f"oci{ending}"]
    assert all(sound(f"{to}:{tmp_path}/out/{name}{ending}") for name in ("docker-archive", "oci"))


@pytest.mark.parametrize("to", ["oci-archive", "docker-archive"])
def test_into_a_folder_that_is_there_goes_an_archive_for_each_source(tmp_path, to: str) -> None:
    source = write_tar(tmp_path / "app.tar.gz", docker_files(APP), codec="gzip")
    (tmp_path / "out").mkdir()
    run(source, f"{to}:{tmp_path}/out")
    assert os.listdir(tmp_path / "out") == ["app.tar"]
    run(source, f"{to}:{tmp_path}/new/")
    assert os.listdir(tmp_path / "new") == ["app.tar"]


@pytest.mark.parametrize("to", ["oci-archive", "docker-archive", "dir"])
def test_what_is_there_is_replaced_only_when_asked_for(tmp_path, to: str) -> None:
    source = write_source(tmp_path, "docker-archive-F", APP)
    other = write_source(tmp_path / "other", "docker-archive", make_sample(7))
    run(other, f"{to}:{tmp_path}/out")
    before = snapshot(tmp_path / "out")
    with pytest.raises(FileExistsError, match="--overwrite"):
        run(source, f"{to}:{tmp_path}/out")
    assert snapshot(tmp_path / "out") == before
    run(source, f"{to}:{tmp_path}/out", overwrite=True)
    assert truths(f"{to}:{tmp_path}/out") == truth(APP, names=to != "dir")


def test_an_archive_may_be_converted_in_place(tmp_path) -> None:
    path = write_tar(tmp_path / "a.tar", docker_files(APP, TOOL))
    run(path, f"docker-archive:{path}", overwrite=True, compress="gzip")
    assert truths(path) == truth(APP, TOOL)
    run(path, f"oci-archive:{path}", overwrite=True)
    assert truths(path) == truth(APP, TOOL)


def test_a_layout_may_be_converted_in_place(tmp_path) -> None:
    source = write_source(tmp_path, "oci", APP, TOOL)
    run(source, source, compress="zstd")
    assert truths(source) == truth(APP, TOOL)
    assert media_types(source) == {"+zstd"}
    assert all(isinstance(image, Image) for image in images(source))


def test_folders_on_the_way_to_an_output_are_made(tmp_path) -> None:
    source = write_source(tmp_path, "docker-archive", APP)
    for to in FORMATS:
        run(source, f"{to}:{tmp_path}/{to}-new/deep/out")
        assert sound(f"{to}:{tmp_path}/{to}-new/deep/out")


def test_a_dir_takes_one_image_and_says_so_before_any_work(tmp_path) -> None:
    source = write_source(tmp_path, "docker-archive", APP, TOOL)
    events = []
    with pytest.raises(Exception, match="name one") as caught:
        run(source, f"dir:{tmp_path}/out", progress=events.append)
    assert caught.value.exit_code == 2
    assert not any(type(event).__name__ == "LayerStarted" for event in events)
    run(f"{source}:{TOOL.names[0]}", f"dir:{tmp_path}/out")
    assert truths(f"dir:{tmp_path}/out") == truth(TOOL, names=False)


def test_one_name_for_several_images_is_refused(tmp_path) -> None:
    source = write_source(tmp_path, "docker-archive", APP, TOOL)
    with pytest.raises(StoreError, match="two different images"):
        run(source, f"oci:{tmp_path}/out:mine:1")
    with pytest.raises(ReferenceSyntaxError):
        run([source, f"{source}:@0"], f"oci:{tmp_path}/out:mine:1")
