"""`squash` and `flatten`: layers of an image into one, and all that has to stay as it is."""

import os
import subprocess
import tarfile

import pytest
from support.converting import FORMATS, SOURCES, images, left_over, sound, write_source
from support.images import make_sample
from support.squashing import (
    config_of,
    file,
    folder,
    hard,
    image_of,
    members_of,
    opened,
    shown,
    symlink,
    tar_of,
    tars_of,
)

from ocifast.ops.squash import flatten, squash

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners and devices need root")

BASE = [
    folder("etc", mode=0o711),
    file("etc/kept", "from the base"),
    file("etc/changed", "old"),
    file("etc/gone", "gone"),
    folder("opaque"),
    file("opaque/old", "old"),
    folder("usr"),
    folder("usr/lib"),
    symlink("lib", "usr/lib"),
]
MIDDLE = [
    file("etc/.wh.gone"),
    file("opaque/.wh..wh..opq"),
    file("opaque/new", "new"),
    file("lib/through", "a link"),
    file("etc/changed", "newer", mode=0o600, uid=7),
    file("etc/brief", "is gone again"),
]
TOP = [
    file("etc/.wh.brief"),
    hard("etc/twin", "etc/kept"),
    file("etc/changed", "newest", xattrs={"user.note": "v"}),
    folder("opaque", mode=0o1777),
]
RANGES = [{}, {"from_layer": 0}, {"from_layer": 1}, {"from_layer": 2}, {"last": 1}, {"last": 2}]


@pytest.fixture
def source(tmp_path):
    return write_source(tmp_path / "in", "oci", image_of(BASE, MIDDLE, TOP))


@pytest.mark.parametrize("which", RANGES, ids=str)
def test_a_squashed_image_comes_to_the_same_tree(source, tmp_path, which) -> None:
    report = squash(source, f"oci:{tmp_path}/out:app", workers=0, **which)
    first = which.get("from_layer", 3 - which["last"] if "last" in which else 0)
    assert len(report.layers) == first + 1
    assert [layer.is_new for layer in report.layers] == [False] * first + [True]
    assert sound(report.destination)
    assert shown(report.destination, tmp_path / "b") == shown(source, tmp_path / "a")
    assert left_over(tmp_path) == []


def test_layers_below_stay_what_they_are(source, tmp_path) -> None:
    before = opened(source)
    report = squash(source, f"oci:{tmp_path}/out:app", last=1, workers=0)
    after = opened(report.destination)
    assert [each.descriptor for each in after.layers[:2]] == [
        each.descriptor for each in before.layers[:2]
    ]


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("kind", SOURCES)
def test_every_form_of_an_image_can_be_squashed_into_every_other(tmp_path, kind, to) -> None:
    source = write_source(tmp_path / "in", kind, make_sample(1, count=3))
    report = squash(source, f"{to}:{tmp_path}/out", from_layer=1, workers=0)
    assert sound(report.destination)
    (image,) = images(report.destination)
    assert len(image.layers) == len(image.config.diff_ids) == 2
    assert str(image.config_descriptor.digest) == report.image_id
    assert left_over(tmp_path) == []


# ---- what the new layer holds ----


def names_of(reference):
    return [each.name for each in members_of(reference)]


def test_what_is_hidden_is_left_out_and_whiteouts_of_layers_below_stay(source, tmp_path) -> None:
    report = squash(source, f"oci:{tmp_path}/out:app", from_layer=1, workers=0)
    names = names_of(report.destination)
    assert "etc/brief" not in names
    assert "etc/.wh.brief" not in names
    assert "etc/.wh.gone" in names
    assert "opaque/.wh.old" in names
    assert "usr/lib/through" in names
    flat = flatten(source, f"oci:{tmp_path}/out:flat", workers=0)
    assert not [name for name in names_of(flat.destination) if ".wh." in name]


def test_a_link_to_a_file_below_stays_one_where_that_still_is_it(tmp_path) -> None:
    source = write_source(
        tmp_path / "in", "oci", image_of([file("a", "data"), file("b", "x")], [hard("c", "a")])
    )
    report = squash(source, f"oci:{tmp_path}/out:app", last=1, workers=0)
    (link,) = members_of(report.destination)
    assert (link.type, link.name, link.linkname) == (tarfile.LNKTYPE, "c", "a")


def test_links_to_what_is_hidden_become_a_file_and_links_to_it(tmp_path) -> None:
    links = [hard("z", "a"), hard("c", "z")]
    source = write_source(
        tmp_path / "in", "oci", image_of([file("a", "data")], links, [file(".wh.a")])
    )
    report = squash(source, f"oci:{tmp_path}/out:app", from_layer=1, workers=0)
    found = {each.name: each for each in members_of(report.destination)}
    assert set(found) == {".wh.a", "c", "z"}
    assert found["c"].isreg()
    assert found["z"].linkname == "c"
    tree = shown(report.destination, tmp_path / "b")
    assert tree == shown(source, tmp_path / "a")
    assert tree["c"][5] == b"data"


def test_metadata_is_kept_to_the_nanosecond(tmp_path) -> None:
    times = [0.5, 1700000000.123456, -1.25, 8589934592.5, -7]
    members = [file(f"f{n}", "x", mtime=when) for n, when in enumerate(times)]
    members += [file("cap", "x", xattrs={"security.capability": "\x01\0\0\x02\0\x04" + "\0" * 14})]
    members += [file("big", uid=3_000_000, gid=2_500_000), file("n" * 200, "long")]
    members += [file("dev", type=tarfile.CHRTYPE, devmajor=1, devminor=3)]
    plain = tar_of(*members)
    source = write_source(tmp_path / "in", "oci", image_of(plain))
    report = flatten(source, f"oci:{tmp_path}/out:app", workers=0)

    def told(member):
        return (
            *(member.name, member.type, member.mode, member.uid, member.gid, member.mtime),
            *(member.size, member.devmajor, member.devminor),
            {k: v for k, v in member.pax_headers.items() if "xattr" in k},
        )

    before = {each.name: told(each) for each in members_of(source)}
    assert {each.name: told(each) for each in members_of(report.destination)} == before


def test_sparse_files_are_written_out(tmp_path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    with (tree / "holes").open("wb") as out:
        out.truncate(3_000_000)
        out.seek(1_000_001)
        out.write(b"data")
    command = ["tar", "--sparse", "--format=posix", "-C", tree, "-cf", tmp_path / "s.tar", "holes"]
    subprocess.run(command, check=True)
    tar = (tmp_path / "s.tar").read_bytes()
    assert len(tar) < 100_000
    source = write_source(tmp_path / "in", "oci", image_of(tar, [file("b", "x")]))
    report = flatten(source, f"oci:{tmp_path}/out:app", workers=0)
    tree = shown(report.destination, tmp_path / "b")
    assert tree["holes"][5] == bytes(1_000_001) + b"data" + bytes(3_000_000 - 1_000_005)


def test_the_root_keeps_its_entry(tmp_path) -> None:
    low, high = folder("./", mode=0o700), folder("./", mode=0o751, uid=5)
    source = write_source(tmp_path / "in", "oci", image_of([low, file("./a", "x")], [high]))
    report = flatten(source, f"oci:{tmp_path}/out:app", workers=0)
    first = members_of(report.destination)[0]
    assert (first.name, first.mode, first.uid) == (".", 0o751, 5)


def test_layers_that_cancel_out_become_an_empty_one(tmp_path) -> None:
    source = write_source(
        tmp_path / "in", "oci", image_of([file("a", "x")], [file("b", "y")], [file(".wh.b")])
    )
    report = squash(source, f"oci:{tmp_path}/out:app", from_layer=1, workers=0)
    assert tars_of(report.destination)[-1] == bytes(1024)
    assert sound(report.destination)


# ---- documents ----


def test_history_and_diff_ids_are_in_step(source, tmp_path) -> None:
    before = config_of(source)
    report = squash(source, f"oci:{tmp_path}/out:app", from_layer=1, workers=0)
    after = config_of(report.destination)
    assert after["rootfs"]["diff_ids"] == [layer.diff_id for layer in report.layers]
    kept, merged, last = after["history"]
    assert kept == before["history"][0]
    assert last == {"created_by": "CMD hello", "empty_layer": True}
    assert merged == {
        "created": "2024-01-02T03:04:05Z",
        "created_by": "ocifast squash",
        "comment": "2 layers: COPY 1; COPY 2",
    }
    rest = {"rootfs", "history"}
    assert {k: v for k, v in after.items() if k not in rest} == {
        k: v for k, v in before.items() if k not in rest
    }


# ---- the same bytes ----


def test_the_bytes_do_not_depend_on_workers_or_on_where_tars_wait(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("ocifast.engine.SMALL_BYTES", 0)
    monkeypatch.setattr("ocifast.engine.plan.SMALL_BYTES", 0)
    noise = os.urandom(3_000_000)
    source = write_source(
        tmp_path / "in",
        "oci",
        image_of([file("a", noise), file("b", b"x" * 5_000_000)], [file("c", noise[::-1])]),
    )
    found = {
        flatten(source, f"oci:{tmp_path}/out{n}:app", workers=workers, spool=spool).digest
        for n, (workers, spool) in enumerate([(0, True), (0, False), (1, True), (2, False)])
    }
    assert len(found) == 1


@pytest.mark.parametrize("compress", ["gzip", "zstd", "none", "zstd:chunked", "estargz"])
def test_new_layers_are_compressed_as_asked(source, tmp_path, compress) -> None:
    report = squash(source, f"oci:{tmp_path}/out:app", last=2, compress=compress, workers=0)
    assert sound(report.destination)
    found, before = shown(report.destination, tmp_path / "b"), shown(source, tmp_path / "a")
    for own in ("stargz.index.json", ".no.prefetch.landmark", ".prefetch.landmark"):
        found.pop(own, None)  # what eStargz is made of
    assert found == before


def test_the_same_layer_twice_is_read_once(tmp_path) -> None:
    again = [file("a", "x"), file("b", "y")]
    source = write_source(tmp_path / "in", "oci", image_of(again, [file(".wh.a")], again))
    report = flatten(source, f"oci:{tmp_path}/out:app", workers=0)
    assert names_of(report.destination) == ["a", "b"]


def test_more_streams_than_a_message_holds_are_read_in_this_process(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("ocifast.ops.splice_run.HANDED", 1)
    monkeypatch.setattr("ocifast.engine.SMALL_BYTES", 0)
    layers = [[file(f"f{n}", f"data {n}" * 100)] for n in range(5)]
    source = write_source(tmp_path / "in", "oci", image_of(*layers))
    report = flatten(source, f"oci:{tmp_path}/out:app", workers=1)
    assert sound(report.destination)
