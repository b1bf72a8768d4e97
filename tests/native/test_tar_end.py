"""Where a tar ends, what may follow, and what happens when bytes are missing."""

import pytest
from support.tar_build import BLOCK, END, MAGIC_GNU, archive, entry, header, long_name, pax
from support.tar_read import both, feed, judge, read

from ocifast._native.tar import TarParser
from ocifast.errors import LimitExceeded, OcifastError, TarError
from ocifast.limits import Limits

OK = ("ok", "ok")
FILE = entry(b"f", b"hello")


def refused(code: str) -> tuple[str, str]:
    return code, code


def tolerated(code: str) -> tuple[str, str]:
    return code, "ok"


@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        (FILE + END, OK),
        (END, OK),
        (FILE + END + bytes(9216), OK),
        (FILE + END + bytes(7), OK),
        (FILE, tolerated("missing-end")),
        (FILE[: BLOCK + 5], ("truncated", "ok")),
        (FILE[: BLOCK + 100], ("truncated", "ok")),
        (FILE + bytes(BLOCK), tolerated("missing-end")),
        (bytes(BLOCK), tolerated("missing-end")),
        (FILE + bytes(BLOCK) + FILE + END, refused("lone-zero")),
        (bytes(BLOCK) + FILE + END, refused("lone-zero")),
        (FILE + bytes(100), refused("truncated")),
        (FILE + bytes(BLOCK + 100), refused("truncated")),
        (FILE + END + entry(b"behind") + END, tolerated("data-after-end")),
        (FILE + END + bytes(700) + b"x", tolerated("data-after-end")),
        (b"", tolerated("empty")),
    ],
)
def test_h14_the_end_of_an_archive(data: bytes, verdict: tuple[str, str]) -> None:
    assert both(data) == verdict


def test_h14_nothing_behind_the_end_is_parsed_but_its_place_is_told() -> None:
    data = FILE + END + bytes(700) + entry(b"behind") + END
    for step in (0, 1, 7, 512, 1000):
        found = read(data, step=step)
        assert [e.path for e in found.entries] == [b"f"]
        assert found.findings == [("data-after-end", len(FILE + END) + 700)]


@pytest.mark.parametrize("step", [0, 1, 100, 511])
def test_h14_zeros_behind_the_end_are_capped_in_strict(step: int) -> None:
    limits = Limits(tail_bytes=1000)
    assert judge(FILE + END + bytes(1000), strict=True, limits=limits, step=step) == "ok"
    assert judge(FILE + END + bytes(1001), limits=limits, step=step) == "ok"
    with pytest.raises(LimitExceeded) as caught:
        read(FILE + END + bytes(5000), strict=True, limits=limits, step=step)
    assert caught.value.args[:3] == ("tail_bytes", 1000, 1001)


def test_h15_truncation_at_every_byte_is_noticed() -> None:
    parts = [
        pax((b"path", b"long/name"), (b"SCHILY.xattr.user.a", b"v")),
        entry(b"f", b"p" * 600),
        long_name(b"n" * 120),
        entry(b"g", b"q", magic=MAGIC_GNU),
        entry(b"d/", kind=b"5"),
    ]
    ends = {0} | {len(b"".join(parts[:i])) for i in (2, 4, 5)}
    payload_ends = {len(parts[0]) + BLOCK + 600, len(b"".join(parts[:3])) + BLOCK + 1}
    data = b"".join(parts)
    for cut in range(len(data)):
        strict, compat = both(data[:cut])
        assert strict != "ok"
        block_edge = cut in ends
        in_padding = any(end <= cut < -(-end // BLOCK) * BLOCK for end in payload_ends)
        assert (compat == "ok") == (block_edge or in_padding), cut


def test_h15_no_partial_entry_is_committed() -> None:
    data = entry(b"a") + entry(b"b", b"x" * 600)
    parser = TarParser(Limits())
    parser.feed(data[: BLOCK + 100])
    assert parser.entries == 1
    with pytest.raises(TarError) as caught:
        parser.finish()
    assert (caught.value.code, caught.value.offset) == ("truncated", BLOCK)


def test_every_flipped_bit_gives_an_error_of_ours_or_a_table() -> None:
    data = archive(
        pax((b"path", b"p"), (b"mtime", b"1.5")),
        entry(b"f", b"x"),
        entry(b"l", kind=b"2", link=b"t"),
    )
    verdicts = set()
    for bit in range(len(data) * 8):
        mutant = bytearray(data)
        mutant[bit >> 3] ^= 1 << (bit & 7)
        for strict in (False, True):
            verdicts.add(judge(bytes(mutant), strict=strict))
    assert {"ok", "not-tar", "checksum"} < verdicts


def test_h24_a_long_tail_of_zeros_takes_no_memory_and_few_findings() -> None:
    parser = TarParser(Limits(), keep=True)
    parser.feed(FILE + END)
    for _ in range(256):
        parser.feed(bytes(1 << 20))
    parser.finish()
    assert parser.finding_count == 0
    assert parser.offset == len(FILE + END) + (256 << 20)


def test_h24_headers_and_padding_count_against_the_output() -> None:
    data = archive(*(entry(b"f%d" % i, b"x") for i in range(10)))
    assert judge(data, limits=Limits(output_bytes=len(data))) == "ok"
    assert judge(data, limits=Limits(output_bytes=len(data) - 1)) == "limit output_bytes"


def test_h24_the_table_is_capped() -> None:
    data = archive(*(entry(b"f%d" % i) for i in range(1000)))
    limits = Limits(table_bytes=100_000)
    assert judge(data, limits=limits) == "limit table_bytes"
    parser = TarParser(limits, keep=False)
    feed(parser, data)
    assert parser.entries == 1000


def test_h24_findings_are_counted_beyond_those_kept() -> None:
    data = archive(*(entry(b"/f%d" % i) for i in range(150)))
    parser = TarParser(Limits(findings=100))
    feed(parser, data)
    assert parser.finding_count == 150
    assert len(parser.findings()) == 100


@pytest.mark.parametrize("name", [b"stargz.index.json", b".prefetch.landmark"])
def test_h25_an_index_inside_the_layer_is_an_entry_like_any_other(name: bytes) -> None:
    toc = b'{"version":1,"entries":[{"name":"evil","type":"reg"}]}'
    data = archive(entry(b"good"), entry(name, toc))
    assert both(data) == OK
    found = read(data).entries
    assert [e.path for e in found] == [b"good", name]
    assert found[1].size == len(toc)


def test_h26_the_offsets_of_the_table_reassemble_the_archive() -> None:
    parts = [
        pax((b"comment", b"c"), kind=b"g"),
        pax((b"path", b"renamed"), (b"SCHILY.xattr.user.a", b"v")),
        entry(b"f", b"p" * 700),
        entry(b"empty"),
        long_name(b"n" * 200),
        entry(b"n", b"q", magic=MAGIC_GNU),
        entry(b"l", kind=b"2", link=b"t"),
    ]
    data = archive(*parts) + bytes(300)
    pieces, at = [], 0
    for e in read(data).entries:
        assert e.start_offset == at
        assert e.header_offset + BLOCK == e.payload_offset
        end = e.payload_offset + e.stored_size
        at = end + -end % BLOCK
        pieces += [data[e.start_offset : e.payload_offset], data[e.payload_offset : at]]
    assert b"".join(pieces) + data[at:] == data
    assert data[at:] == END + bytes(300)


def test_a_stream_that_is_no_tar_says_so() -> None:
    for data in (b"\x1f\x8b\x08" + bytes(600), b"PK\x03\x04" * 200, b"{}" * 300):
        with pytest.raises(OcifastError, match="not a tar archive"):
            read(data)


def test_the_error_tells_place_and_entry() -> None:
    data = entry(b"first") + header(b"sized-directory", b"5", size=9)
    with pytest.raises(TarError, match=r"tar offset 512: .*'sized-directory'") as caught:
        read(data)
    assert (caught.value.code, caught.value.offset) == ("header-only-size", 512)
