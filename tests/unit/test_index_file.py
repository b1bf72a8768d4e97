"""The file of an index: what it holds, that any numpy can read it, and that damage is refused."""

import dataclasses
import hashlib
import io
import json
import os
import random
import struct
import zipfile

import numpy as np
import pytest
import xxhash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.changes import Node, pairs, put_on_disk, tar_of, tree, tree_of, trees
from support.images import Sample, layout_files, write_folder
from support.layers import make_layer, sha256, squeeze

from ocifast.errors import FormatError, OcifastError, StoreError
from ocifast.formats.tar import FIELDS, EntryTable
from ocifast.ops.diff import diff
from ocifast.ops.index_file import is_index, load_index, save_index
from ocifast.ops.layer_index import LayerIndex, index_layer

ARRAYS = ("rows", "heap", "contents")
CONTENT = tree(
    a=Node(data=b"content", xattrs=(("user.a", b"\xff"),), mtime=7),
    b__c="a",
    d=Node("symlink", b"a"),
    **{"b__.wh.x": Node(), "e__.wh..wh..opq": Node()},
)
SOME = tar_of(CONTENT)


@pytest.fixture
def saved(tmp_path):
    """The path of an index."""
    path = tmp_path / "layer.npz"
    save_index(index_layer(squeeze(SOME, "gzip")), path)
    return path


def seen(a, b):
    with diff(a, b, workers=0) as found:
        assert len(found) == len(list(found))
        return [(c.kind, c.path, c.fields, c.old_digest, c.new_digest, c.growth) for c in found]


# --- what it holds


@pytest.mark.parametrize(
    "layer", [SOME, bytes(1024), make_layer().blob], ids=["some", "none", "many"]
)
def test_what_was_saved_is_loaded(layer, tmp_path) -> None:
    index = index_layer(layer)
    save_index(index, tmp_path / "x.npz")
    found = load_index(tmp_path / "x.npz")
    for field in dataclasses.fields(LayerIndex):
        if field.name != "contents":
            assert getattr(found, field.name) == getattr(index, field.name), field.name
    assert bytes(found.contents) == bytes(index.contents)
    assert found.to_dict() == index.to_dict()


def test_numpy_opens_it_and_columns_are_the_entries(saved) -> None:
    index = load_index(saved)
    with np.load(saved) as arrays:
        assert sorted(arrays) == ["about", "check", "contents", "heap", "rows"]
        rows, heap, contents = (arrays[name] for name in ARRAYS)
        about = json.loads(arrays["about"].tobytes())
        check = arrays["check"].tobytes().decode()
    assert rows.dtype.names == tuple(FIELDS)
    names = [heap[row["path_offset"] :][: row["path_size"]].tobytes() for row in rows]
    assert names == [entry.path for entry in index.table]
    assert rows["mode"].tolist() == [entry.mode for entry in index.table]
    assert (contents.shape, contents.dtype) == ((len(rows), 32), np.uint8)
    assert {key: about[key] for key in index.to_dict()} == index.to_dict()
    assert about["xxh3"]["rows"] == xxhash.xxh3_128_hexdigest(rows.tobytes())
    assert check == xxhash.xxh3_128_hexdigest(json.dumps(about).encode())


def test_digests_are_those_of_contents(saved) -> None:
    index = load_index(saved)
    raw = bytes(index.contents)
    known = {e.path: raw[32 * n : 32 * n + 32] for n, e in enumerate(index.table)}
    assert known[b"a"] == hashlib.sha256(b"content").digest()
    assert known[b"d"] == bytes(32)


def test_whiteouts_are_entries_of_it(saved) -> None:
    index = load_index(saved)
    assert {e.path for e in index.table if e.is_whiteout} == {b"b/.wh.x", b"e/.wh..wh..opq"}
    assert not index.as_layer().is_flat
    assert index_layer(bytes(1024)).as_layer().is_flat


def test_the_same_layer_gives_the_same_file(saved, tmp_path) -> None:
    save_index(index_layer(squeeze(SOME, "gzip")), tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()


def test_its_arrays_are_read_where_they_lie(saved) -> None:
    index = load_index(saved)
    assert index.table.heap.readonly
    with open("/proc/self/maps", encoding="utf-8") as maps:
        assert str(saved) in maps.read()


def test_an_index_knows_itself_and_no_layer_is_one(saved) -> None:
    assert is_index(saved.read_bytes()[:16])
    for layer in (SOME, squeeze(SOME, "gzip"), squeeze(SOME, "zstd"), b"", bytes(512)):
        assert not is_index(layer[:16])


# --- how it is written


def test_a_file_that_is_there_is_replaced_only_when_asked(saved, tmp_path) -> None:
    before, other = saved.read_bytes(), index_layer(bytes(1024))
    with pytest.raises(FileExistsError) as caught:
        save_index(other, saved)
    assert caught.value.filename == str(saved)
    assert saved.read_bytes() == before
    save_index(other, saved, overwrite=True)
    assert load_index(saved).entries == 0
    assert os.listdir(tmp_path) == ["layer.npz"]


def test_a_folder_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        save_index(index_layer(bytes(1024)), tmp_path / "none/x.npz")
    assert str(tmp_path / "none") in str(caught.value)


def test_no_descriptor_stays_open(saved, tmp_path) -> None:
    index = load_index(saved)
    before = set(os.listdir("/proc/self/fd"))
    save_index(index, tmp_path / "other")
    with pytest.raises(FileExistsError):
        save_index(index, tmp_path / "other")
    (tmp_path / "bad").write_bytes(b"PK\x03\x04")
    with pytest.raises(FormatError):
        load_index(tmp_path / "bad")
    del index
    assert set(os.listdir("/proc/self/fd")) <= before
    kept = load_index(tmp_path / "other")
    assert len(set(os.listdir("/proc/self/fd")) - before) <= 1, "the mapping keeps one"
    assert kept.entries == 7


# --- what is refused


def load(blob, path):
    """Load these bytes; whatever is accepted has to be read without harm."""
    path.write_bytes(blob)
    index = load_index(path)
    list(index.table)
    return index


def arrays_of(index):
    return [bytes(part) for part in (*index.table.to_buffers(), index.contents)]


def test_no_byte_that_is_missing_goes_unnoticed(saved, tmp_path) -> None:
    blob = saved.read_bytes()
    cuts = sorted({*range(0, len(blob), 37), *range(len(blob) - 400, len(blob))})
    for size in cuts:
        with pytest.raises(FormatError):
            load(blob[:size], tmp_path / "cut")


def test_no_byte_that_is_wrong_changes_what_is_read(saved, tmp_path) -> None:
    blob, truth = saved.read_bytes(), load_index(saved)
    rng, accepted = random.Random(5), 0
    for at in range(len(blob)):
        damaged = bytearray(blob)
        damaged[at] ^= 1 << rng.randrange(8)
        try:
            found = load(damaged, tmp_path / "damaged")
        except FormatError:
            continue
        accepted += 1
        assert arrays_of(found) == arrays_of(truth)
        assert found.to_dict() == truth.to_dict()
    assert accepted < len(blob) // 3, "dates, sums and paddings of the zip are nobody's matter"


@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_several_kinds_of_damage_at_once_are_refused_too(saved, tmp_path, data) -> None:
    blob, truth = bytearray(saved.read_bytes()), load_index(saved)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(blob) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=8))
        if data.draw(st.booleans()):
            blob[at : at + len(piece)] = piece
        else:
            blob[at:at] = piece
    try:
        found = load(blob, tmp_path / "damaged")
    except FormatError:
        return
    assert arrays_of(found) == arrays_of(truth)


def test_sizes_and_places_in_the_directory_of_the_zip_are_not_believed(saved, tmp_path) -> None:
    """Each number of each entry, at its extremes: whole arrays or a refusal."""
    blob = saved.read_bytes()
    truth = arrays_of(load_index(saved))
    start = blob.index(b"PK\x01\x02")
    places = [at for at in range(start, len(blob)) if blob[at : at + 4] == b"PK\x01\x02"]
    for place in [*places, blob.index(b"PK\x05\x06")]:
        for at in range(place + 4, min(place + 46, len(blob) - 3)):
            for value in (0, 1, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF):
                damaged = bytearray(blob)
                struct.pack_into("<I", damaged, at, value)
                try:
                    found = load(damaged, tmp_path / "damaged")
                except FormatError:
                    continue
                assert arrays_of(found) == truth


def remade(saved, **changes):
    """The file with members replaced, and its sums right again; None leaves a member out."""
    with np.load(saved) as arrays:
        parts = {name: arrays[name] for name in arrays}
    about = json.loads(parts["about"].tobytes())
    wanted = changes.pop("about", {})
    parts |= changes
    for name in ARRAYS:
        if parts[name] is not None:
            about["xxh3"][name] = xxhash.xxh3_128_hexdigest(parts[name].tobytes())
    text = json.dumps(about | wanted).encode() if isinstance(wanted, dict) else wanted
    parts["about"] = np.frombuffer(text, np.uint8)
    parts["check"] = np.frombuffer(xxhash.xxh3_128_hexdigest(text).encode(), np.uint8)
    out = io.BytesIO()
    np.savez(out, **{name: part for name, part in parts.items() if part is not None})
    return out.getvalue()


def test_an_index_that_numpy_wrote_is_as_good(saved, tmp_path) -> None:
    found = load(remade(saved), tmp_path / "theirs")
    assert arrays_of(found) == arrays_of(load_index(saved))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"about": {"schema": "ocifast.index/2"}}, "'ocifast.index/2', not ocifast.index/1"),
        ({"about": {"digest": "sha256:0"}}, "sha256:0"),
        ({"about": {"diff_id": 5}}, "damaged"),
        ({"about": {"size": "many"}}, "damaged"),
        ({"about": {"size": None}}, "damaged"),
        ({"about": b"[]"}, "damaged"),
        ({"about": b"5"}, "damaged"),
        ({"about": b"{"}, "damaged"),
        ({"about": b"[" * 100_000}, "damaged"),
        ({"about": b"{}"}, "None, not"),
        ({"about": {"xxh3": {}}}, "damaged"),
        ({"about": {"xxh3": 5}}, "damaged"),
        ({"rows": None}, "damaged"),
        ({"heap": np.zeros(0, np.uint8)}, ""),
        ({"heap": np.zeros(9, np.uint16)}, "heap is not what this version"),
        ({"contents": np.zeros((2, 32), np.uint8)}, "not of one layer"),
        ({"contents": np.zeros((0, 32), np.uint8)}, "not of one layer"),
        ({"contents": np.zeros((2, 32), np.float64)}, "contents is not what this version"),
        ({"rows": np.zeros(3, np.uint8)}, "rows is not what this version"),
    ],
    ids=str,
)
def test_an_index_of_another_kind_is_refused(saved, tmp_path, changes, sentence) -> None:
    with pytest.raises(FormatError) as caught:
        load(remade(saved, **changes), tmp_path / "other")
    assert sentence in str(caught.value)


def test_arrays_that_are_squeezed_are_refused_with_a_reason(saved, tmp_path) -> None:
    with np.load(saved) as arrays:
        np.savez_compressed(tmp_path / "squeezed.npz", **arrays)
    with pytest.raises(FormatError, match="squeezed"):
        load_index(tmp_path / "squeezed.npz")


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"text", bytes(5000), SOME, b"PK\x05\x06" + bytes(18)]
)
def test_what_is_no_index_is_refused(content, tmp_path) -> None:
    with pytest.raises(FormatError):
        load(content, tmp_path / "file")


def test_any_other_zip_is_refused_by_a_diff_and_named(tmp_path) -> None:
    path = tmp_path / "app.jar"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", "x")
    with pytest.raises(StoreError) as caught:
        diff(path, SOME, workers=0)
    assert caught.value.store == str(path)
    assert caught.value.exit_code == 4


@given(data=st.data())
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_index_that_lies_does_no_harm(saved, tmp_path, data) -> None:
    """Whoever writes the file can claim anything: an error or a wrong answer, never a crash."""
    with np.load(saved) as arrays:
        rows, heap = arrays["rows"].copy(), arrays["heap"].copy()
    for _ in range(data.draw(st.integers(1, 4))):
        name = data.draw(st.sampled_from(rows.dtype.names))
        row = data.draw(st.integers(0, len(rows) - 1))
        top = int(np.iinfo(rows.dtype[name]).max)
        rows[row][name] = data.draw(st.one_of(st.integers(0, min(top, 300)), st.just(top)))
    rows = rows[data.draw(st.permutations(range(len(rows))))]
    for _ in range(data.draw(st.integers(0, 3))):
        heap[data.draw(st.integers(0, len(heap) - 1))] = data.draw(st.sampled_from(b"/\0.a"))
    try:
        index = load(remade(saved, rows=rows, heap=heap), tmp_path / "lie")
        for sides in ((index, SOME), (SOME, index), (index, index)):
            with diff(*sides, workers=0, renames=True) as found:
                list(found)
                found._repr_html_()
                found.growth()
    except OcifastError:
        pass


# --- what it is for


@given(pair=pairs())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_indexes_differ_as_their_layers_do(tmp_path, pair) -> None:
    layers = [tar_of(each) for each in pair]
    indexes = []
    for number, layer in enumerate(layers):
        save_index(index_layer(layer), tmp_path / f"{number}", overwrite=True)
        indexes.append(load_index(tmp_path / f"{number}"))
    truth = seen(*layers)
    assert seen(*indexes) == truth
    assert seen(indexes[0], layers[1]) == truth
    assert seen(layers[0], indexes[1]) == truth


@given(content=trees, gone=st.lists(st.sampled_from(["a/.wh.b", ".wh.c", "b/.wh..wh..opq"])))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_index_with_whiteouts_is_its_layer(tmp_path, content, gone) -> None:
    content = {path: node for path, node in content.items() if path not in ("a", "b", "c")}
    content = {p: n for p, n in content.items() if p.count("/") == 0 or p[:2] not in ("a/", "b/")}
    layer = tar_of(content | tree_of({path: Node() for path in gone}))
    save_index(index_layer(layer), tmp_path / "x", overwrite=True)
    other = tar_of(tree(a__b=Node(), c=Node()))
    assert seen(load_index(tmp_path / "x"), other) == seen(layer, other)
    with diff(load_index(tmp_path / "x"), layer, layers=True, workers=0) as found:
        assert not found


def test_an_index_is_compared_with_folders_and_images(saved, tmp_path) -> None:
    after = {path: n for path, n in CONTENT.items() if ".wh." not in path}
    after |= tree(e=Node("dir", mode=0o755))
    assert seen(saved, put_on_disk(after, tmp_path / "top")) == []
    layer = make_layer()._replace(blob=SOME, digest=sha256(SOME), diff_id=sha256(SOME))
    image = write_folder(tmp_path / "image", layout_files(Sample((layer,))))
    assert seen(saved, f"oci:{image}") == []


def test_the_layer_of_an_index_is_known_by_its_diff_id(saved) -> None:
    """So what is the same is not compared at all."""
    with diff(saved, saved, workers=0) as found:
        assert not found
        assert found.parts == []
        assert "the same on both sides" in found.notes[0]


def test_a_table_of_an_index_is_a_table_like_others(saved) -> None:
    index = load_index(saved)
    again = EntryTable.from_buffer(index.table.to_bytes())
    assert again == index.table
