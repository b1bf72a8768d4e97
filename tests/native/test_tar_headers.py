"""Header fields: what is a number, a type, a format, and where readers part ways."""

import pytest
from support.tar_build import (
    END,
    MAGIC_GNU,
    MAGIC_V7,
    archive,
    base256,
    checksum,
    entry,
    header,
    pax,
)
from support.tar_read import both, judge, ours, read

from ocifast.errors import LimitExceeded, TarError
from ocifast.limits import Limits
from ocifast.tree import EntryKind

OK = ("ok", "ok")


def refused(code: str) -> tuple[str, str]:
    """In both profiles."""
    return code, code


def tolerated(code: str) -> tuple[str, str]:
    """Refused by strict, a finding in compat."""
    return code, "ok"


def test_h01_one_size_is_used_for_skipping_and_reporting() -> None:
    inner = entry(b"smuggled")
    data = archive(pax((b"size", b"512")), header(b"outer", size=0), inner, entry(b"after"))
    assert both(data) == tolerated("sizes")
    found = read(data)
    assert [e.path for e in found.entries] == [b"outer", b"after"]
    assert found.entries[0].size == found.entries[0].stored_size == 512
    assert found.findings == [("sizes", 1024)]


def test_h01_a_pax_size_of_zero_wins_over_the_header() -> None:
    data = archive(pax((b"size", b"0")), header(b"outer", size=512), entry(b"inner"))
    assert [e.path for e in read(data).entries] == [b"outer", b"inner"]
    assert judge(data, strict=True) == "sizes"


def test_h01_a_size_beyond_octal_needs_the_record() -> None:
    big = 1 << 33
    data = pax((b"size", b"%d" % big)) + header(b"f", size=0)
    for strict in (False, True):
        with pytest.raises(TarError, match=f"{big} bytes before the end of a payload"):
            read(data, strict=strict)


@pytest.mark.parametrize("flag", list(b"xLKg"))
def test_h02_a_pax_size_does_not_leak_onto_extension_headers(flag: int) -> None:
    carrier = MAGIC_USTAR_OR_GNU[flag]
    payload = b"long-name\0" if flag in b"LK" else b"13 comment=a\n"
    data = archive(
        pax((b"size", b"512")),
        entry(b"e", payload, bytes([flag]), magic=carrier),
        header(b"f", size=512),
        bytes(512),
        entry(b"g"),
    )
    expected = {"x": "stacked", "g": "dangling", "L": "ok", "K": "ok"}[chr(flag)]
    assert judge(data) == expected
    assert judge(data, strict=True) == ("mixed" if expected == "ok" else expected)
    if expected == "ok":
        assert [e.size for e in read(data).entries] == [512, 0]


MAGIC_USTAR_OR_GNU = {ord("x"): b"ustar\x0000", ord("g"): b"ustar\x0000"} | {
    ord("L"): MAGIC_GNU,
    ord("K"): MAGIC_GNU,
}


@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        (entry(kind=b"x", magic=MAGIC_GNU, payload=b"11 path=ab\n") + entry(), "carrier"),
        (entry(kind=b"x", magic=MAGIC_V7, payload=b"11 path=ab\n") + entry(), "carrier"),
        (entry(kind=b"L", payload=b"ab\0") + entry(magic=MAGIC_GNU), "carrier"),
        (entry(kind=b"K", magic=MAGIC_V7, payload=b"a\0") + entry(b"l", kind=b"2"), "carrier"),
        (entry(magic=b"ustar\x0001"), "magic"),
        (entry(magic=b"ustar\0\0\0"), "magic"),
        (entry(magic=b"ustar 00"), "magic"),
        (entry(magic=b"ustarX00"), "magic"),
        (entry(magic=MAGIC_V7, prefix=b"python-sees-a-prefix"), "magic"),
        (entry(tail=bytes(8) + b"tar\0", prefix=b"p" * 140), "magic"),
    ],
)
def test_h07_h20_formats_that_readers_tell_apart_differently(data: bytes, verdict: str) -> None:
    assert both(archive(data)) == tolerated(verdict)


def test_h07_an_old_sparse_header_needs_the_gnu_format() -> None:
    assert both(archive(entry(kind=b"S"))) == refused("carrier")


def test_h07_solaris_extended_headers_are_refused() -> None:
    assert both(archive(entry(kind=b"X", payload=b"11 path=ab\n"), entry())) == refused("type")


@pytest.mark.parametrize(
    ("flag", "path", "kind"),
    [
        (b"\0", b"d/", EntryKind.DIRECTORY),
        (b"0", b"d/", EntryKind.FILE),
        (b"7", b"d/", EntryKind.FILE),
        (b"2", b"d/", EntryKind.SYMLINK),
    ],
)
def test_h08_a_trailing_slash_makes_a_directory_of_a_nul_type_only(
    flag: bytes, path: bytes, kind: EntryKind
) -> None:
    data = archive(entry(path, kind=flag, link=b"t" if flag == b"2" else b""))
    assert judge(data, strict=True) in {"trailing-slash", "type"}
    assert read(data).entries[0].kind is kind


def test_h08_the_slash_of_the_header_counts_for_python_even_behind_a_long_name() -> None:
    data = archive(pax((b"path", b"real-name")), entry(b"cut-at-100/", kind=b"\0"))
    assert both(data) == tolerated("trailing-slash")
    assert read(data).entries[0].kind is EntryKind.FILE


def test_h08_extension_payload_is_no_name() -> None:
    long = entry(b"././@LongLink", b"dir/name\0", b"L", magic=MAGIC_GNU)
    data = archive(long, entry(b"x", kind=b"\0", magic=MAGIC_GNU))
    assert both(data) == OK
    assert read(data).entries[0].kind is EntryKind.FILE


@pytest.mark.parametrize("flag", list(b"MVNDAZs8\x01\xff"))
def test_h09_unknown_types_are_skipped_with_their_payload(flag: int) -> None:
    data = archive(entry(b"odd", b"p" * 700, bytes([flag])), entry(b"next"))
    assert both(data) == tolerated("type")
    found = read(data)
    assert [e.path for e in found.entries] == [b"next"]
    assert found.findings == [("type", 0)]


def test_h09_contiguous_files_are_files_but_not_for_docker() -> None:
    data = archive(entry(b"f", b"data", b"7"))
    assert both(data) == tolerated("type")
    assert read(data).entries[0].kind is EntryKind.FILE


def test_h09_an_unknown_type_consumes_the_extensions_before_it() -> None:
    data = archive(pax((b"path", b"of-the-odd-one")), entry(b"odd", kind=b"V"), entry(b"next"))
    assert [e.path for e in read(data).entries] == [b"next"]


def test_h10_signed_and_unsigned_checksums_are_accepted() -> None:
    plain = header(b"\xff" * 60)
    signed = checksum(plain, signed=True)
    assert signed != checksum(plain)
    for field in (b"%06o\0 " % checksum(plain), b"%07o\0" % checksum(plain)):
        assert both(archive(header(b"\xff" * 60, chksum=field))) == OK
    assert both(archive(header(b"\xff" * 60, chksum=b"%06o\0 " % (signed & 0o777777)))) == OK


@pytest.mark.parametrize("field", [b"", b"000000\0 ", b" " * 8, b"+07052\0 ", b"\x80" + bytes(7)])
def test_h10_a_bad_checksum_is_refused_and_never_skipped(field: bytes) -> None:
    first = archive(header(b"f", chksum=field), entry(b"g"))
    assert both(first) == refused("not-tar")
    second = archive(entry(b"f"), header(b"g", chksum=field), entry(b"h"))
    assert both(second) == refused("checksum")


def test_h10_a_checksum_behind_nuls_is_read_by_go_alone() -> None:
    name = b"f"
    right = checksum(header(name))
    assert both(archive(header(name, chksum=b"\0%06o\0" % right))) == tolerated("number-junk")


@pytest.mark.parametrize(
    ("field", "verdict"),
    [
        (base256(5, 12), OK),
        (base256(-1, 12), refused("range")),
        (b"\x8e" + bytes(10) + b"\x05", refused("number")),
        (b"\xc0" + bytes(11), refused("number")),
        (b"\x80" + b"\xff" * 11, refused("number")),
        (base256((1 << 63) - 1, 12), refused("range")),
        (base256((1 << 63) - 511, 12), refused("range")),
    ],
)
def test_h11_base_256_sizes(field: bytes, verdict: tuple[str, str]) -> None:
    assert both(archive(header(b"f", size=field), padded_hello())) == verdict  # type: ignore[arg-type]


def padded_hello() -> bytes:
    return b"hello".ljust(512, b"\0")


@pytest.mark.parametrize("field", ["uid", "gid"])
@pytest.mark.parametrize(
    ("raw", "verdict"),
    [
        (base256(-1, 8), "range"),
        (base256((1 << 32) - 1, 8), "range"),
        (base256((1 << 32) - 2, 8), "ok"),
        (b"77777777", "ok"),
    ],
)
def test_h22_ids_are_those_a_disk_can_hold(field: str, raw: bytes, verdict: str) -> None:
    assert both(archive(header(b"f", **{field: raw}))) == refused(verdict)


def test_h22_user_names_are_ignored() -> None:
    data = archive(entry(b"f", uid=7, uname=b"root", gname=b"\xff\xfe"))
    assert both(data) == OK
    assert read(data).entries[0].uid == 7


def test_h12_the_largest_size_and_its_padding_do_not_wrap() -> None:
    largest = (1 << 63) - 512
    data = header(b"f", size=base256(largest, 12))  # type: ignore[arg-type]
    assert both(data) == refused("truncated")


def test_h12_h24_headers_count_against_the_entry_limit() -> None:
    data = b"".join(entry(b"f%d" % i) for i in range(20)) + END
    with pytest.raises(LimitExceeded) as caught:
        read(data, limits=Limits(entries=19))
    assert (caught.value.name, caught.value.limit, caught.value.actual) == ("entries", 19, 20)


def test_h13_every_byte_moves_the_offset() -> None:
    data = archive(*(entry(b"f%d" % i) for i in range(5)))
    offsets = [e.header_offset for e in read(data).entries]
    assert offsets == [0, 512, 1024, 1536, 2048]


@pytest.mark.parametrize(
    ("raw", "verdict", "value"),
    [
        (b"0000644\0", OK, 0o644),
        (b"   644 \0", OK, 0o644),
        (b"644", OK, 0o644),
        (b"00000644", OK, 0o644),
        (b"", OK, 0),
        (b"644\0junk", tolerated("number-junk"), 0o644),
        (b"\0\0\000644", tolerated("number-junk"), 0o644),
        (b"644 junk", refused("number"), None),
        (b"+644", refused("number"), None),
        (b"-644", refused("number"), None),
        (b"0x1a", refused("number"), None),
        (b"0o644", refused("number"), None),
        (b"6_44", refused("number"), None),
        (b"\t644", refused("number"), None),
        (b"649", refused("number"), None),
    ],
)
def test_h05_octal_numbers_are_read_as_go_reads_them(
    raw: bytes, verdict: tuple[str, str], value: int | None
) -> None:
    data = archive(header(b"f", mode=raw))
    assert both(data) == verdict
    if value is not None:
        assert read(data).entries[0].mode == value


def test_mode_keeps_the_permissions_and_drops_the_type_bits_docker_wrote() -> None:
    data = archive(header(b"f", mode=0o104755))
    assert both(data) == OK
    assert read(data).entries[0].mode == 0o4755
    assert both(archive(header(b"f", mode=0o060644))) == tolerated("mode-type")
    assert both(archive(header(b"f", mode=base256(-1, 8)))) == tolerated("mode-type")


@pytest.mark.parametrize("flag", list(b"123456"))
def test_p10_entries_without_payload_have_no_size(flag: int) -> None:
    kind = bytes([flag])
    link = b"t" if kind in b"12" else b""
    assert both(archive(header(b"f", kind, link=link))) == OK
    sized = archive(header(b"f", kind, size=512, link=link), bytes(512))
    assert both(sized) == refused("header-only-size")
    hidden = archive(pax((b"size", b"0")), header(b"f", kind, size=512, link=link))
    assert both(hidden) == refused("header-only-size")


def test_p23_device_numbers_are_unsigned_32_bits() -> None:
    top = (1 << 32) - 1
    good = archive(header(b"n", b"3", major=base256(top, 8), minor=base256(0, 8)))
    assert both(good) == OK
    assert (read(good).entries[0].dev_major, read(good).entries[0].dev_minor) == (top, 0)
    for value in (-1, top + 1):
        assert both(archive(header(b"n", b"4", major=base256(value, 8)))) == refused("range")
        assert both(archive(header(b"n", b"4", minor=base256(value, 8)))) == refused("range")


def test_p23_a_device_of_the_v7_format_has_no_numbers() -> None:
    data = archive(header(b"n", b"3", major=5, minor=1, magic=MAGIC_V7))
    assert both(data) == tolerated("magic")
    assert (read(data).entries[0].dev_major, read(data).entries[0].dev_minor) == (0, 0)


@pytest.mark.parametrize("sign", [1, -1])
def test_p27_header_times_out_of_range_are_clamped_in_compat(sign: int) -> None:
    data = archive(header(b"f", mtime=base256(sign * (1 << 62), 12)))
    assert both(data) == tolerated("range")
    assert read(data).entries[0].mtime_ns == sign * 9_223_372_035_000_000_000


def test_p27_header_times_may_be_negative() -> None:
    data = archive(header(b"f", mtime=base256(-2, 12)))
    assert both(data) == OK
    assert read(data).entries[0].mtime_ns == -2_000_000_000


def test_h20_ustar_prefixes_are_joined_and_star_ones_are_shorter() -> None:
    assert ours(archive(entry(b"n", prefix=b"p" * 155)))[0].text == b"p" * 155 + b"/n"
    star = entry(b"n", prefix=b"p" * 130, tail=bytes(8) + b"tar\0")
    assert both(archive(star)) == OK
    assert ours(archive(star))[0].text == b"p" * 130 + b"/n"


def test_h20_old_go_archives_with_a_prefix_in_the_gnu_header_stay_readable() -> None:
    data = archive(entry(b"name", magic=MAGIC_GNU, prefix=b"some/directory"))
    assert both(data) == tolerated("gnu-prefix")
    assert read(data).entries[0].path == b"some/directory/name"


@pytest.mark.parametrize(
    "times",
    [b"14000000000\x0014000000000\0", b"14000000000\0", b"\0not-a-prefix", base256(5, 12)],
)
def test_h20_gnu_times_are_not_a_prefix(times: bytes) -> None:
    data = archive(entry(b"name", magic=MAGIC_GNU, prefix=times))
    assert both(data) == tolerated("gnu-times")
    assert read(data).entries[0].path == b"name"
