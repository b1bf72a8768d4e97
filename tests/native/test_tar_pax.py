"""Extension headers: PAX records and GNU long names, alone, stacked, mixed, malformed, huge."""

import time

import pytest
from support.tar_build import MAGIC_GNU, archive, entry, header, long_name, pax, record
from support.tar_read import both, judge, read

from ocifast.limits import Limits

OK = ("ok", "ok")


def refused(code: str) -> tuple[str, str]:
    return code, code


def tolerated(code: str) -> tuple[str, str]:
    return code, "ok"


PATH = pax((b"path", b"by-pax"))
LONG = long_name(b"by-gnu")
LINK = long_name(b"target", b"K")
GNU = entry(b"f", magic=MAGIC_GNU)


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        ([PATH, PATH, entry()], refused("stacked")),
        ([LONG, LONG, GNU], refused("stacked")),
        ([LINK, LINK, entry(b"l", kind=b"2", magic=MAGIC_GNU)], refused("stacked")),
        ([PATH, LONG, GNU], ("mixed", "mixed")),
        ([LONG, PATH, entry()], ("mixed", "mixed")),
        ([pax((b"linkpath", b"a")), LINK, entry(b"l", kind=b"2")], ("mixed", "mixed")),
        ([pax((b"mtime", b"1")), LONG, GNU], tolerated("mixed")),
        ([LONG, entry()], tolerated("mixed")),
        ([PATH, GNU], tolerated("mixed")),
        ([PATH, pax((b"comment", b"c"), kind=b"g"), entry()], refused("dangling")),
        ([LONG, pax((b"comment", b"c"), kind=b"g"), GNU], refused("dangling")),
        ([LINK, LONG, entry(b"l", kind=b"2", magic=MAGIC_GNU)], OK),
        ([LONG, LINK, entry(b"l", kind=b"2", magic=MAGIC_GNU)], OK),
    ],
)
def test_h02_extension_headers_before_one_entry(
    parts: list[bytes], verdict: tuple[str, str]
) -> None:
    assert both(archive(*parts)) == verdict


@pytest.mark.parametrize(
    "raw",
    [
        b"9 a",  # the length runs past the header
        b"99 path=a\n",
        b"9 path=ab\n",  # one too short: the newline is not where it should be
        b"11 path=a\n",
        b"path=a\n",
        b" 11 path=a\n",
        b"+11 path=a\n",
        b"011 path=a\n",
        b"0 path=a\n",
        b"-1 path=a\n",
        b"10\tpath=a\n",
        b"10 path a\n",
        b"5 =a\n",
        b"4 =\n",
        b"3 \n",
        b"10 path=a\0",
        b"99999999999999999999 path=a\n",
        b"10",
        b"10 ",
        b"\n",
        b"10 path=a\n\0",
    ],
)
def test_h03_the_first_malformed_record_refuses_the_archive(raw: bytes) -> None:
    good = record(b"comment", b"c")
    assert both(archive(pax(raw), entry())) == refused("pax-record")
    assert both(archive(pax(good + raw), entry())) == refused("pax-record")


def test_h03_a_length_past_the_end_is_not_read_where_the_buffer_ends() -> None:
    for size in range(200, 300):
        filler = record(b"comment", b"c" * (size - 15))
        raw = filler + b"9 a"
        assert both(archive(pax(raw), entry())) == refused("pax-record")


def test_h03_values_may_hold_newlines_and_equal_signs() -> None:
    value = b"a=b\n11 path=evil\n"
    data = archive(pax((b"path", value)), entry())
    assert both(data) == OK
    assert read(data).entries[0].path == value


@pytest.mark.parametrize("key", [b"path", b"linkpath", b"size"])
def test_h04_the_last_of_repeated_records_wins_in_compat_only(key: bytes) -> None:
    first, last = (b"1", b"0") if key == b"size" else (b"first", b"last")
    data = archive(pax((key, first), (key, last)), entry(b"l", kind=b"2", link=b"t", size=0))
    assert both(data) == tolerated("pax-repeat")
    found = read(data)
    assert found.codes[0] == "pax-repeat"
    if key == b"path":
        assert found.entries[0].path == b"last"
    if key == b"linkpath":
        assert found.entries[0].link_target == b"last"


@pytest.mark.parametrize(
    "value",
    [b"", b"+5", b" 5", b"5 ", b"0x5", b"-1", b"5.0", b"1_0", b"9" * 20, b"\xef\xbc\x95", b"5\n"],
)
@pytest.mark.parametrize("key", [b"size", b"uid", b"gid"])
def test_h05_numbers_are_unsigned_decimals(key: bytes, value: bytes) -> None:
    data = archive(pax((key, value)), entry())
    deletes = value == b"" and key != b"size"
    assert both(data) == (tolerated("pax-value") if deletes else refused("pax-value"))


def test_h05_an_empty_id_falls_back_to_the_header() -> None:
    data = archive(pax((b"uid", b"5"), (b"uid", b"")), entry(b"f", uid=9))
    assert read(data).entries[0].uid == 9


@pytest.mark.parametrize("key", [b"path", b"linkpath"])
def test_h05_names_are_neither_empty_nor_hold_a_nul(key: bytes) -> None:
    link = entry(b"l", kind=b"2", link=b"t")
    assert both(archive(pax((key, b"")), link)) == refused("pax-value")
    assert both(archive(pax((key, b"a\0b")), link)) == refused("nul")


@pytest.mark.parametrize("key", [b"uname", b"gname"])
def test_h05_a_nul_in_a_user_name_is_refused_as_go_does(key: bytes) -> None:
    assert both(archive(pax((key, b"a\0b")), entry())) == refused("nul")


@pytest.mark.parametrize("end", [bytes(1024), b"", bytes(1024) + entry(b"behind")])
@pytest.mark.parametrize("extension", [PATH, LONG, LINK])
def test_h06_an_extension_without_its_entry_is_refused(extension: bytes, end: bytes) -> None:
    assert both(entry(b"first") + extension + end) == refused("dangling")


def test_h17_metadata_of_one_entry_is_capped_in_total() -> None:
    limits = Limits(metadata_bytes=2000)
    big = pax((b"comment", b"c" * 1500))
    assert both(archive(big, entry()), limits) == OK
    assert both(archive(big, long_name(b"n" * 900), GNU), limits)[1] == "limit metadata_bytes"
    assert both(archive(big, entry(b"a"), big, entry(b"b")), limits) == OK
    giant = header(b"x", b"x", size=1 << 30)
    assert both(giant) == refused("limit metadata_bytes")


def test_h17_extension_headers_before_one_entry_are_counted() -> None:
    comment = pax((b"comment", b"c"), kind=b"g")
    assert both(archive(comment * 16, entry())) == OK
    assert both(archive(comment * 17, entry())) == refused("limit extensions")


def test_h18_global_headers_are_never_applied_and_never_files() -> None:
    data = archive(
        pax((b"path", b"evil"), (b"size", b"512"), (b"linkpath", b"evil"), kind=b"g"),
        entry(b"good"),
        pax((b"comment", b"0123456789abcdef"), kind=b"g"),
        entry(b"better"),
    )
    assert both(data) == tolerated("pax-global")
    found = read(data)
    assert [(e.path, e.size) for e in found.entries] == [(b"good", 0), (b"better", 0)]
    assert found.findings == [("pax-global", 0)]


def test_h18_strict_allows_the_comment_of_git_archive() -> None:
    data = archive(pax((b"comment", b"0123456789abcdef"), kind=b"g"), PATH, entry())
    assert both(data) == OK
    assert read(data).entries[0].start_offset == 0


@pytest.mark.parametrize(
    ("payload", "verdict"),
    [
        (b"name\0", OK),
        (b"name", OK),
        (b"name\0\0\0\0", OK),
        (b"name\0hidden\0", refused("long-name")),
        (b"\0name", refused("long-name")),
        (b"\0", refused("long-name")),
        (b"", refused("long-name")),
    ],
)
def test_h19_long_names_stop_at_their_nul(payload: bytes, verdict: tuple[str, str]) -> None:
    data = archive(entry(b"././@LongLink", payload, b"L", magic=MAGIC_GNU), GNU)
    assert both(data) == verdict
    if verdict == OK:
        assert read(data).entries[0].path == b"name"


def test_h23_many_records_take_linear_time() -> None:
    many = b"".join(record(b"k%06d" % i, b"") for i in range(60_000))
    began = time.process_time()
    assert judge(archive(pax(many), entry())) == "ok"
    assert time.process_time() - began < 1


def test_p26_xattrs_are_bytes_in_stored_order() -> None:
    values = [(b"user.b", b"\0\xff\n="), (b"security.capability", b""), (b"user.a", b"1")]
    data = archive(pax(*((b"SCHILY.xattr." + k, v) for k, v in values)), entry(b"f"), entry(b"g"))
    assert both(data) == OK
    assert [e.xattrs for e in read(data).entries] == [tuple(values), ()]


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        (b"", refused("pax-value")),
        (b"user.a\0b", refused("nul")),
        (b"noname", tolerated("xattr-name")),
        (b"user.", tolerated("xattr-name")),
        (b"com.apple.provenance", tolerated("xattr-name")),
        (b"trusted.overlay.opaque", OK),
    ],
)
def test_p26_xattr_names_have_a_namespace(name: bytes, verdict: tuple[str, str]) -> None:
    assert both(archive(pax((b"SCHILY.xattr." + name, b"v")), entry())) == verdict


def test_p26_repeated_xattrs_are_reported() -> None:
    key = b"SCHILY.xattr.user.a"
    data = archive(pax((key, b"1"), (b"SCHILY.xattr.user.ab", b""), (key, b"2")), entry())
    assert both(data) == tolerated("pax-repeat")
    assert dict(read(data).entries[0].xattrs) == {b"user.a": b"2", b"user.ab": b""}


def test_p26_xattrs_are_capped_in_size_and_number() -> None:
    key = b"SCHILY.xattr.user."
    assert both(archive(pax((key + b"a", b"v" * 65536)), entry())) == OK
    assert both(archive(pax((key + b"a", b"v" * 65537)), entry())) == refused("limit xattr_bytes")
    fits, crowd = (b"".join(record(key + b"%d" % i, b"") for i in range(n)) for n in (256, 257))
    assert both(archive(pax(fits), entry())) == OK
    assert both(archive(pax(crowd), entry())) == refused("limit xattr_bytes")


@pytest.mark.parametrize(
    ("value", "nanoseconds"),
    [
        (b"1.5", 1_500_000_000),
        (b"-1.5", -1_500_000_000),
        (b"-0.000000001", -1),
        (b"7.", 7_000_000_000),
        (b"0.1234567899999", 123_456_789),
        (b"9223372035.999999999", 9_223_372_035_999_999_999),
    ],
)
def test_p27_record_times_have_nanoseconds(value: bytes, nanoseconds: int) -> None:
    data = archive(pax((b"mtime", value)), entry(b"f", mtime=5))
    assert both(data) == OK
    assert read(data).entries[0].mtime_ns == nanoseconds


@pytest.mark.parametrize(
    "value", [b"nan", b"inf", b"1e5", b"1,5", b".5", b"-", b"+1", b" 1", b"1 ", b"1.5.5", b"0x1"]
)
@pytest.mark.parametrize("key", [b"mtime", b"atime", b"ctime"])
def test_p27_record_times_are_plain_decimals(key: bytes, value: bytes) -> None:
    assert both(archive(pax((key, value)), entry())) == refused("pax-value")


@pytest.mark.parametrize("value", [b"9223372036", b"9" * 400, b"-" + b"9" * 30 + b".5"])
def test_p27_record_times_out_of_range_are_clamped_in_compat(value: bytes) -> None:
    data = archive(pax((b"mtime", value)), entry())
    assert both(data) == tolerated("pax-value")
    assert abs(read(data).entries[0].mtime_ns) == 9_223_372_035_000_000_000


@pytest.mark.parametrize(
    "key",
    [
        b"SCHILY.realsize",
        b"SCHILY.filetype",
        b"SCHILY.devmajor",
        b"SUN.holesdata",
        b"GNU.dumpdir",
        b"GNU.volume.size",
    ],
)
def test_records_only_some_readers_act_on_are_refused_in_strict(key: bytes) -> None:
    assert both(archive(pax((key, b"1")), entry())) == tolerated("pax-key")


def test_other_vendors_records_are_left_alone() -> None:
    keys = [b"LIBARCHIVE.creationtime", b"RHT.security.selinux", b"MSWINDOWS.rawsd", b"VENDOR.k"]
    assert both(archive(pax(*((key, b"v") for key in keys)), entry())) == OK


@pytest.mark.parametrize("extension", [pax((b"linkpath", b"t")), LINK])
def test_a_link_target_of_a_file_is_reported_and_not_kept(extension: bytes) -> None:
    magic = MAGIC_GNU if extension is LINK else b"ustar\x0000"
    data = archive(extension, entry(b"f", magic=magic))
    assert both(data) == tolerated("stray-link")
    assert read(data).entries[0].link_target == b""


@pytest.mark.parametrize("flag", [b"1", b"2"])
def test_links_have_a_target(flag: bytes) -> None:
    assert both(archive(entry(b"l", kind=flag))) == refused("empty-link")
