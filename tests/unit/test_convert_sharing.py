"""`convert` does each distinct layer once, keeps what can be kept, and goes on past what is bad."""

import os

import pytest
from support.converting import (
    left_over,
    read_bytes,
    read_keys,
    run,
    sound,
    spoil,
    truth,
    truths,
    watched,
    write_source,
)
from support.images import (
    Sample,
    blob_name,
    docker_files,
    layout_files,
    make_sample,
    write_folder,
    write_tar,
)
from support.layers import make_layer

from ocifast.errors import DiffIdMismatch, OcifastError
from ocifast.ops.progress import ImageFinished, Planned
from ocifast.transports import blob_store

BASE = tuple(make_layer("gzip", number, files=5) for number in (1, 2))


def built_on_base(number: int) -> Sample:
    return Sample((*BASE, make_layer("gzip", 100 + number, files=3)), (f"app{number}:1",))


APPS = tuple(built_on_base(number) for number in range(5))


# ---- once ----


@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("to", ["oci", "oci-archive", "docker-archive"])
def test_a_layer_that_images_share_is_read_once_in_the_run(tmp_path, to: str, each: bool) -> None:
    sources = [
        write_tar(tmp_path / f"{number}.tar", docker_files(app)) for number, app in enumerate(APPS)
    ]
    report, events = watched(sources, f"{to}:{tmp_path}/out", each=each)
    keys = read_keys(events)
    assert len(keys) == len(set(keys)) == 7
    (plan,) = (event for event in events if isinstance(event, Planned))
    assert (plan.images, plan.layers, plan.shared_layers) == (5, 7, 8)
    assert plan.size == read_bytes(events) == report.bytes_read
    assert (report.layers_distinct, report.layers_shared) == (7, 8)
    assert [image.shared_layers for image in report.images].count(0) == 1
    if each:
        endings = "" if to == "oci" else ".tar"
        for number, app in enumerate(APPS):
            assert truths(f"{to}:{tmp_path}/out/{number}{endings}") == truth(app)
    else:
        assert truths(f"{to}:{tmp_path}/out") == truth(*APPS)


def test_layers_are_the_same_whichever_way_they_were_compressed(tmp_path) -> None:
    sources = [
        write_source(tmp_path / codec, kind, make_sample(1, codec=codec, names=(f"{codec}:1",)))
        for codec, kind in (("plain", "docker-archive"), ("gzip", "oci"), ("zstd", "oci-archive"))
    ]
    report, events = watched(sources, f"oci:{tmp_path}/out", compress="zstd")
    assert len(read_keys(events)) == 2
    assert report.bytes_written == 0  # the copy that is right already was taken


def test_a_layer_that_one_image_has_twice_is_done_once(tmp_path) -> None:
    sample = Sample((*BASE, BASE[0]), ("twice:1",))
    report, events = watched(write_source(tmp_path, "oci", sample), f"oci:{tmp_path}/out")
    assert len(read_keys(events)) == 2
    assert [layer.how == "shared" for layer in report.layers] == [False, False, True]
    assert truths(f"oci:{tmp_path}/out") == truth(sample)


def test_the_same_source_twice_is_meant_once(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_tar(tmp_path / "a.tar", docker_files(APPS[0]))
    report, events = watched([path, "a.tar", f"{tmp_path}/./a.tar"], "oci:out")
    assert len(report.images) == 1
    assert len(read_keys(events)) == 3
    report, events = watched(["a.tar", "docker-archive:a.tar"], "oci:out2")
    assert len(read_keys(events)) == 3
    assert truths("oci:out2") == truth(APPS[0])


def test_the_longest_layer_comes_first(tmp_path) -> None:
    sample = Sample(
        tuple(make_layer("gzip", n, files) for n, files in enumerate((2, 30, 8))), ("a:1",)
    )
    _, events = watched(write_source(tmp_path, "docker-archive", sample), f"oci:{tmp_path}/out")
    assert read_keys(events) == [sample.layers[number].diff_id for number in (1, 2, 0)]


# ---- kept ----


def inodes(folder) -> dict[str, int]:
    """Which file stands behind each name."""
    return {entry.name: entry.inode() for entry in os.scandir(folder)}


def test_blobs_of_a_layout_are_linked_and_not_written(tmp_path) -> None:
    source = write_source(tmp_path, "oci", APPS[0])
    report = run(source, f"oci:{tmp_path}/out")
    assert report.bytes_written == 0
    hows = {layer.how for layer in report.layers}
    assert hows <= {"hardlinked", "reflinked"}
    ours, theirs = (inodes(tmp_path / name / "blobs/sha256") for name in ("out", "oci"))
    if hows == {"hardlinked"}:
        layers = {layer.digest.removeprefix("sha256:") for layer in APPS[0].layers}
        assert {name for name in theirs if ours.get(name) == theirs[name]} >= layers
    assert sound(f"oci:{tmp_path}/out")


def test_where_nothing_can_be_linked_it_is_copied(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(blob_store, "clone_file", lambda *_: False)
    monkeypatch.setattr(blob_store, "link_open_file", lambda *_: False)
    report = run(write_source(tmp_path, "oci", APPS[0]), f"oci:{tmp_path}/out")
    assert {layer.how for layer in report.layers} == {"copied"}
    assert sound(f"oci:{tmp_path}/out")


def test_what_is_kept_is_verified_all_the_same(tmp_path) -> None:
    files = layout_files(APPS[0])
    name = blob_name(APPS[0].layers[1].blob)
    raw = files[name]
    files[name] = raw[:-1] + bytes([raw[-1] ^ 1])
    path = write_folder(tmp_path / "in", files)
    with pytest.raises(OcifastError):
        run(path, f"oci:{tmp_path}/out", compress="keep")
    assert truths(f"oci:{tmp_path}/out") == {}


def test_blobs_that_are_there_already_are_not_written_again(tmp_path) -> None:
    source = write_source(tmp_path, "docker-archive", APPS[0])
    run(source, f"oci:{tmp_path}/out")
    before = inodes(tmp_path / "out/blobs/sha256")
    report = run(source, f"oci:{tmp_path}/out")
    assert report.ok
    assert inodes(tmp_path / "out/blobs/sha256") == before


# ---- copies that are bad, images that are bad ----


def test_a_damaged_copy_is_made_up_for_by_another_and_it_is_said(tmp_path) -> None:
    bad = spoil(write_tar(tmp_path / "bad.tar", docker_files(APPS[0])), BASE[0])
    good = write_tar(tmp_path / "good.tar", docker_files(APPS[1]))
    report = run([bad, good], f"oci:{tmp_path}/out")
    assert report.ok
    assert truths(f"oci:{tmp_path}/out") == truth(APPS[0], APPS[1])
    assert sound(f"oci:{tmp_path}/out")
    findings = [finding for layer in report.layers for finding in layer.findings]
    assert any("another copy was used" in finding and "bad.tar" in finding for finding in findings)


def test_when_all_copies_are_damaged_all_their_images_fail_and_no_other(tmp_path) -> None:
    sources = [
        spoil(write_tar(tmp_path / f"{number}.tar", docker_files(APPS[number])), BASE[0])
        for number in (0, 1)
    ]
    other = make_sample(9, names=("other:1",))
    sources.append(write_tar(tmp_path / "other.tar", docker_files(other)))
    report = run(sources, f"oci:{tmp_path}/out", keep_going=True)
    assert [image.error is None for image in report.images] == [False, False, True]
    assert [image.error_type for image in report.failed] == ["DiffIdMismatch"] * 2
    assert {image.exit_code for image in report.failed} == {1}
    assert truths(f"oci:{tmp_path}/out") == truth(other)


def test_the_first_failure_ends_the_run_and_what_was_finished_stays(tmp_path) -> None:
    long = Sample((make_layer("gzip", 7, 60),), ("long:1",))
    sources = [
        write_tar(tmp_path / "good.tar", docker_files(long)),
        spoil(write_tar(tmp_path / "bad.tar", docker_files(APPS[0])), APPS[0].layers[2]),
    ]
    with pytest.raises(DiffIdMismatch) as caught:
        run(sources, f"oci:{tmp_path}/out")
    assert any("bad.tar" in note for note in caught.value.__notes__)
    assert truths(f"oci:{tmp_path}/out") == truth(long)  # the longest layer came first


@pytest.mark.parametrize("to", ["oci", "oci-archive", "docker-archive", "dir"])
def test_with_keep_going_the_good_ones_are_finished(tmp_path, to: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_tar(folder / "a.tar", docker_files(APPS[0]))
    spoil(write_tar(folder / "b.tar", docker_files(APPS[1])), APPS[1].layers[2])
    write_tar(folder / "c.tar", docker_files(APPS[2]))
    (folder / "d.tar").write_bytes(b"no archive" * 200)
    report = run(str(folder), f"{to}:{tmp_path}/out", keep_going=True, each=to == "dir")
    assert [image.exit_code for image in report.images] == [0, 1, 0, 4]
    if to == "dir":
        assert {name for name in os.listdir(tmp_path / "out") if name[0] != "."} == {"a", "c"}
    else:
        assert truths(f"{to}:{tmp_path}/out") == truth(APPS[0], APPS[2])
        assert sound(f"{to}:{tmp_path}/out")


def test_a_run_that_failed_goes_on_where_it_was(tmp_path) -> None:
    good = write_tar(tmp_path / "a.tar", docker_files(APPS[0]))
    bad = spoil(write_tar(tmp_path / "b.tar", docker_files(APPS[1])), APPS[1].layers[2])
    run([good, bad], f"docker-archive:{tmp_path}/out/", keep_going=True, compress="gzip")
    before = os.stat(tmp_path / "out/a.tar").st_mtime_ns
    write_tar(tmp_path / "b.tar", docker_files(APPS[1]))
    report, events = watched([good, bad], f"docker-archive:{tmp_path}/out/", compress="gzip")
    assert report.ok
    assert len(read_keys(events)) == 1
    assert {layer.how for layer in report.images[1].layers} >= {"resumed"}
    assert os.stat(tmp_path / "out/a.tar").st_mtime_ns == before
    assert sorted(os.listdir(tmp_path / "out")) == ["a.tar", "b.tar"]
    assert truths(f"{tmp_path}/out/b.tar") == truth(APPS[1])


def test_a_run_that_fails_with_nothing_done_leaves_nothing(tmp_path) -> None:
    (tmp_path / "bad.tar").write_bytes(b"no archive" * 200)
    for to in ("oci-archive", "docker-archive", "dir"):
        with pytest.raises(OcifastError):
            run(f"{tmp_path}/bad.tar", f"{to}:{tmp_path}/out")
        assert os.listdir(tmp_path) == ["bad.tar"]
    with pytest.raises(OcifastError):
        run(f"{tmp_path}/bad.tar", f"oci:{tmp_path}/out")
    assert left_over(tmp_path) == []


def test_a_slip_of_the_pen_is_found_out_before_anything_is_made(tmp_path) -> None:
    good = write_tar(tmp_path / "a.tar", docker_files(APPS[0]))
    with pytest.raises(FileNotFoundError) as caught:
        run([good, f"{tmp_path}/missing.tar"], f"oci:{tmp_path}/out")
    assert caught.value.filename == f"{tmp_path}/missing.tar"
    assert os.listdir(tmp_path) == ["a.tar"]
    report = run([good, f"{tmp_path}/missing.tar"], f"oci:{tmp_path}/out", keep_going=True)
    assert [image.exit_code for image in report.images] == [0, 3]


# ---- what is told ----


def test_every_image_is_told_of_once_and_counts_are_those_of_the_report(tmp_path) -> None:
    sources = [write_tar(tmp_path / f"{n}.tar", docker_files(app)) for n, app in enumerate(APPS)]
    report, events = watched(sources, f"oci:{tmp_path}/out")
    told = {event.image: event for event in events if isinstance(event, ImageFinished)}
    assert set(told) == {app.names[0] for app in APPS}
    for image in report.images:
        event = told[image.names[0]]
        assert (event.layers, event.error) == (3, None)
        assert (event.size_before, event.size_after) == (image.size_before, image.size_after)
        assert event.shared_layers == image.shared_layers


def test_an_error_in_a_callback_ends_the_run_and_nothing_hangs(tmp_path) -> None:
    def stop(event) -> None:
        raise KeyboardInterrupt

    path = write_tar(tmp_path / "a.tar", docker_files(APPS[0]))
    with pytest.raises(KeyboardInterrupt):
        run(path, f"docker-archive:{tmp_path}/out.tar", progress=stop)
    assert not os.path.exists(tmp_path / "out.tar")
