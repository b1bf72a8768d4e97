"""The parser as an object: borders, states, ownership, and what it does after an error."""

import mmap
import pickle
import sys
import threading

import pytest
from support.tar_build import END, MAGIC_GNU, archive, entry, header, long_name, pax
from support.tar_read import feed, read

from ocifast._native.tar import TarParser, check_table
from ocifast.errors import FormatError, LimitExceeded, StateError, TarError
from ocifast.formats.tar import ROW, EntryTable
from ocifast.limits import Limits

LAYER = archive(
    pax((b"path", b"renamed/f"), (b"SCHILY.xattr.user.a", b"v"), (b"mtime", b"1.5")),
    entry(b"f", b"p" * 600),
    long_name(b"n" * 130),
    entry(b"g", b"q", magic=MAGIC_GNU),
    entry(b"/d/", kind=b"5"),
    pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", b"99")),
    entry(b"s", b"1\n5\n3\n".ljust(512, b"\0") + b"abc"),
    entry(b"l", kind=b"2", link=b"t"),
) + bytes(600)


def outcome(parser: TarParser) -> tuple[EntryTable, list[tuple[str, int, str]], int]:
    return EntryTable(*parser.take_table()), parser.findings(), parser.offset


@pytest.mark.parametrize("step", [1, 2, 3, 511, 512, 513, 1000])
def test_borders_of_the_input_do_not_matter(step: int) -> None:
    assert read(LAYER, step=step) == read(LAYER)


def test_a_state_taken_at_every_byte_goes_on_to_the_same_table() -> None:
    whole = TarParser(Limits())
    feed(whole, LAYER)
    expected = outcome(whole)
    running = TarParser(Limits())
    for cut in range(len(LAYER)):
        resumed = TarParser.from_state(running.state(), Limits())
        resumed.feed(LAYER[cut:])
        resumed.finish()
        assert outcome(resumed) == expected, cut
        running.feed(LAYER[cut : cut + 1])


def test_a_state_keeps_the_profile_and_what_was_seen() -> None:
    half = TarParser(Limits(), strict=True, keep=False)
    half.feed(entry(b"a"))
    resumed = TarParser.from_state(half.state(), Limits())
    with pytest.raises(TarError, match="second entry of the same path"):
        resumed.feed(entry(b"a"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda s: b"",
        lambda s: s[:10],
        lambda s: s[:-1],
        lambda s: s + b"\0",
        lambda s: b"X" + s[1:],
        lambda s: s[:16] + (1 << 63).to_bytes(8, "little") + s[24:],
        lambda s: s[:16] + bytes(8) + s[24:],
    ],
)
def test_a_damaged_state_is_a_format_error(damage) -> None:  # type: ignore[no-untyped-def]
    parser = TarParser(Limits())
    parser.feed(LAYER[:2000])
    with pytest.raises(FormatError):
        TarParser.from_state(damage(parser.state()), Limits())


def test_a_state_over_the_caps_of_its_new_home_is_refused() -> None:
    parser = TarParser(Limits(), keep=False)
    for i in range(2000):
        parser.feed(entry(b"%d" % i))
    with pytest.raises(FormatError):
        TarParser.from_state(parser.state(), Limits(table_bytes=8192))


def test_after_an_error_every_call_is_a_state_error() -> None:
    parser = TarParser(Limits())
    with pytest.raises(TarError):
        parser.feed(b"x" * 512)
    for call in (lambda: parser.feed(b""), parser.finish, parser.state):
        with pytest.raises(StateError):
            call()


def test_after_the_end_counts_and_table_remain() -> None:
    parser = TarParser(Limits())
    feed(parser, LAYER)
    with pytest.raises(StateError):
        parser.feed(b"more")
    assert (parser.entries, parser.offset) == (5, len(LAYER))
    assert len(EntryTable(*parser.take_table())) == 5
    assert len(EntryTable(*parser.take_table())) == 0


def test_a_parser_never_initialised_is_closed() -> None:
    parser = TarParser.__new__(TarParser)
    with pytest.raises(StateError):
        parser.feed(b"")
    with pytest.raises(StateError):
        parser.state()
    assert parser.findings() == []
    twice = TarParser(Limits())
    with pytest.raises(StateError):
        twice.__init__(Limits())  # type: ignore[misc]


def test_a_parser_does_not_pickle_half_of_itself() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(TarParser(Limits()))


def test_every_kind_of_contiguous_buffer_is_taken() -> None:
    area = mmap.mmap(-1, len(LAYER))
    area.write(LAYER)
    expected = read(LAYER).table
    for data in (LAYER, bytearray(LAYER), memoryview(LAYER), memoryview(b"x" + LAYER)[1:], area):
        parser = TarParser(Limits())
        parser.feed(data)
        parser.finish()
        assert EntryTable(*parser.take_table()) == expected
    for wrong in ("text", memoryview(LAYER)[::2], memoryview(LAYER).cast("H"), None, 5):
        with pytest.raises((TypeError, ValueError, BufferError)):
            TarParser(Limits()).feed(wrong)  # type: ignore[arg-type]


def test_empty_pieces_are_nothing() -> None:
    parser = TarParser(Limits())
    for piece in (b"", LAYER, b""):
        parser.feed(piece)
    parser.finish()
    assert parser.offset == len(LAYER)


def test_a_payload_beyond_four_gigabytes_is_skipped() -> None:
    size = (5 << 30) + 1
    parser = TarParser(Limits())
    parser.feed(header(b"big", size=size) if size < 1 << 33 else b"")
    chunk, left = bytes(64 << 20), size
    while left:
        take = min(left, len(chunk))
        parser.feed(memoryview(chunk)[:take])
        left -= take
    parser.feed(bytes(-size % 512) + entry(b"next") + END)
    parser.finish()
    table = EntryTable(*parser.take_table())
    assert [e.path for e in table] == [b"big", b"next"]
    assert table[1].header_offset == 512 + size + -size % 512


def test_two_threads_cannot_feed_one_parser_at_once() -> None:
    """Each call either works alone or is refused; nothing is torn."""
    parser = TarParser(Limits(), keep=True)
    parser.feed(header(b"big", size=base_size()))
    chunk, refused, barrier = bytes(8 << 20), [], threading.Barrier(4)

    def work() -> None:
        barrier.wait()
        for _ in range(50):
            try:
                parser.feed(chunk)
            except StateError:
                refused.append(1)

    sys_interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(sys_interval)
    assert parser.offset == 512 + (200 - len(refused)) * len(chunk)


def base_size() -> int:
    return (1 << 33) - 1


def test_the_table_outlives_the_parser() -> None:
    parser = TarParser(Limits())
    feed(parser, LAYER)
    rows, heap = parser.take_table()
    view = memoryview(rows)
    del parser, rows
    assert len(view) == 5 * ROW.size
    assert view.readonly
    assert b"renamed/f" in bytes(memoryview(heap))


def test_check_table_refuses_parts_of_rows() -> None:
    with pytest.raises(FormatError):
        check_table(bytes(119), b"")
    check_table(b"", b"")


def test_limits_are_inclusive_and_named() -> None:
    with pytest.raises(LimitExceeded) as caught:
        read(archive(entry(b"12345")), limits=Limits(path_bytes=4))
    assert caught.value.args[:3] == ("path_bytes", 4, 5)
    read(archive(entry(b"12345")), limits=Limits(path_bytes=5))


def test_skipping_every_payload_gives_the_table_that_feeding_gives() -> None:
    parser, at = TarParser(Limits()), 0
    while at < len(LAYER):
        ahead = parser.payload_left
        if ahead:
            parser.skip(ahead)
        else:
            parser.feed(LAYER[at : at + 512])
        at += ahead or 512
    whole = TarParser(Limits())
    whole.feed(LAYER)
    assert outcome(parser) == outcome(whole)


def test_more_than_the_payload_cannot_be_skipped() -> None:
    parser = TarParser(Limits())
    for _ in range(2):
        with pytest.raises(StateError):
            parser.skip(1)
        parser.skip(0)
    parser.feed(archive(entry(b"a", b"12345"))[:512])
    assert parser.payload_left == 512
    for size in (-1, 513, 1 << 70):
        with pytest.raises(StateError):
            parser.skip(size)
    parser.skip(500)
    assert parser.payload_left == 12


def test_skipped_bytes_count_against_the_limit_of_output() -> None:
    parser = TarParser(Limits(output_bytes=1000))
    parser.feed(archive(entry(b"a", b"x" * 800))[:512])
    with pytest.raises(LimitExceeded):
        parser.skip(1024)
