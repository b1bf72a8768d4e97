"""TarSplice against tars made otherwise: headers of a table, payload cut out of streams."""

import io
import tarfile

import pytest
from support.tables import entry, table_of

from ocifast._native.path_key import path_keys
from ocifast._native.tar import TarParser
from ocifast._native.tar_splice import TarSplice
from ocifast.errors import FormatError, StateError, TreeError
from ocifast.formats.tar import EntryTable
from ocifast.limits import Limits
from ocifast.tree.entry import EntryKind


def tar_of(files, kind=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as tar:
        for path, data in files:
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def parsed(tar):
    parser = TarParser(Limits())
    parser.feed(tar)
    parser.finish()
    return EntryTable(*parser.take_table())


def numbers(*streams):
    return b"".join(each.to_bytes(4, "little") for each in streams)


def spliced(table, streams, tars, *, room=4096, piece=1000):
    """All of it, by pieces and slots of these sizes."""
    _, rows, heap = table.to_buffers()
    splice, out, at = TarSplice(rows, heap, streams), bytearray(), {}
    slot = memoryview(bytearray(room))
    while True:
        out += slot[: splice.readinto(slot)]
        if (stream := splice.wants) >= 0:
            start = at.get(stream, 0)
            splice.feed(stream, start, tars[stream][start : start + piece])
            at[stream] = start + piece
        elif len(out) >= splice.size:
            break
    assert len(out) == splice.size
    return bytes(out)


FILES = [("a", b"1" * 700), ("b/c", b""), ("d", b"2" * 512), ("e", b"3" * 5000)]


@pytest.mark.parametrize("room", [1, 511, 512, 513, 1 << 16])
@pytest.mark.parametrize("piece", [1, 100, 512, 1 << 16])
def test_a_tar_spliced_of_itself_is_itself(room, piece) -> None:
    """Header for header: tarfile and we both write what is in a plain ustar block alike."""
    tar = tar_of(FILES)
    table = parsed(tar)
    found = spliced(table, numbers(*[0] * len(table)), [tar], room=room, piece=piece)
    with tarfile.open(fileobj=io.BytesIO(found)) as again:
        assert [(m.name, again.extractfile(m).read()) for m in again] == FILES


def test_payload_comes_from_the_stream_of_its_row() -> None:
    tars = [tar_of([(f"f{n}", bytes([n]) * 600)]) for n in range(3)]
    tables = [parsed(tar) for tar in tars]
    rows = b"".join(bytes(each.to_buffers()[1]) for each in tables)
    heap = bytes(tables[0].to_buffers()[2])
    found = spliced(EntryTable(rows, heap), numbers(0, 1, 2), tars)
    with tarfile.open(fileobj=io.BytesIO(found)) as again:
        assert [again.extractfile(m).read()[0] for m in again] == [0, 1, 2]


def test_pieces_may_begin_where_they_are_wanted() -> None:
    tar = tar_of(FILES)
    table = parsed(tar)
    _, rows, heap = table.to_buffers()
    splice, out = TarSplice(rows, heap, numbers(*[0] * len(table))), memoryview(bytearray(1 << 16))
    filled = splice.readinto(out)
    while splice.wants >= 0:
        splice.feed(0, splice.place, tar[splice.place : splice.place + 333])
        filled += splice.readinto(out[filled:])
    assert filled == splice.size
    assert parsed(bytes(out[:filled])) == parsed(bytes(out[:filled]))


def test_payload_that_was_passed_already_is_refused() -> None:
    tar = tar_of([("a", b"1" * 600), ("b", b"2" * 600)])
    array = parsed(tar).array[::-1].tobytes()
    table = EntryTable(array, parsed(tar).heap)
    with pytest.raises(StateError, match="row 1: its payload lies before"):
        spliced(table, numbers(0, 0), [tar], piece=1 << 16)


def test_only_what_is_wanted_is_taken() -> None:
    tar = tar_of(FILES)
    table = parsed(tar)
    _, rows, heap = table.to_buffers()
    splice = TarSplice(rows, heap, numbers(*[0] * len(table)))
    assert splice.wants == -1
    with pytest.raises(StateError, match="no piece"):
        splice.feed(0, 0, tar)
    splice.readinto(bytearray(1 << 16))
    with pytest.raises(StateError, match="no piece"):
        splice.feed(1, 0, tar)
    splice.close()
    splice.close()
    with pytest.raises(StateError, match="closed"):
        splice.readinto(bytearray(10))


@pytest.mark.parametrize("streams", [b"", numbers(0), numbers(0, 0, 0, 0, 0)])
def test_streams_are_one_a_row(streams) -> None:
    _, rows, heap = parsed(tar_of(FILES)).to_buffers()
    with pytest.raises(ValueError, match="one aligned u32 a row"):
        TarSplice(rows, heap, streams)


def test_what_no_tar_can_hold_is_named() -> None:
    table = table_of([entry("dev", EntryKind.CHAR_DEVICE, dev_major=1, dev_minor=3)])
    array = table.array.copy()
    array["dev_major"] = 1 << 30
    with pytest.raises(TreeError, match="dev: its device number"):
        TarSplice(array.tobytes(), table.heap, numbers(0))


def test_a_table_that_is_not_sound_is_refused() -> None:
    array = parsed(tar_of(FILES)).array.copy()
    array["path_offset"] = 1 << 40
    for call in (
        lambda: TarSplice(array.tobytes(), b"", bytes(16)),
        lambda: path_keys(array.tobytes(), b"", 1),
    ):
        with pytest.raises(FormatError):
            call()


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (1_500_000_000, "1.5"),
        (-1_500_000_000, "-1.5"),
        (-1, "-0.000000001"),
        (1, "0.000000001"),
        (-2_000_000_000, "-2"),
        (1_700_000_000_123_456_700, "1700000000.1234567"),
    ],
)
def test_times_keep_their_fractions(ns, text) -> None:
    table = table_of([entry("f")])
    array = table.array.copy()
    array["mtime_ns"] = ns
    found = spliced(EntryTable(array.tobytes(), table.heap), numbers(0), [b""])
    assert f" mtime={text}\n".encode() in found
    assert parsed(found)[0].mtime_ns == ns


# ---- keys ----

KEYS = ["0xefd01f6082a2a958", "0x61c3eff95dc4e3a9", "0x61c3eff9101ea57b"]


def keys_of(paths, depth=2):
    table = table_of([entry(path) for path in paths])
    _, rows, heap = table.to_buffers()
    found = path_keys(rows, heap, depth)
    return memoryview(found).cast("Q").tolist()


def test_keys_never_change() -> None:
    """Layers are cut by them: new versions of images share them with old ones."""
    assert [hex(key) for key in keys_of(["a", "usr/lib/x", "usr/lib/y/z"])] == KEYS


def test_files_of_a_folder_have_its_key_in_front() -> None:
    one, two, deep, other = keys_of(["usr/lib/x", "usr/lib/y", "usr/lib/y2/z/w", "usr/bin/x"])
    assert one >> 32 == two >> 32 == deep >> 32 != other >> 32
    assert len({key & 0xFFFFFFFF for key in (one, two, deep, other)}) == 4
