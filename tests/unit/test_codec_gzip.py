"""gzip members: framing, limits and trailing bytes, the same with ISA-L and with zlib."""

import gzip
import hashlib
import random
import struct
import subprocess
import zlib

import pytest
from codec_kit import PLAIN, cut, decode, decode_pieces, drain, make_gzip
from deflate_writer import gzip_member

from ocifast.codecs import CODECS, open_decoder
from ocifast.codecs import gzip as codec
from ocifast.errors import CompressedDataError, LimitExceeded
from ocifast.limits import Limits

HEAD = b"\x1f\x8b\x08" + bytes(7)
EMPTY = gzip_member(b"\x03\x00", b"")
MIB = 1 << 20


@pytest.fixture(params=CODECS["gzip"].backends)
def unpack(request):
    """``unpack(blob, profile=..., **limits)`` gives the output, or the decoder with it."""
    pytest.importorskip(request.param)

    def run(blob, profile="strict", piece=1 << 17, *, decoder=False, **limits):
        made = open_decoder("gzip", Limits(**limits), profile, backend=request.param)
        output = decode(made, blob, piece)
        return (output, made) if decoder else output

    return run


def refusal(call, *args, **kwargs):
    with pytest.raises(CompressedDataError) as caught:
        call(*args, **kwargs)
    assert caught.value.codec == "gzip"
    return caught.value.offset, caught.value.reason


def with_fields(*, extra=None, name=None, comment=None, crc=False, flags=0):
    """A member header with optional fields."""
    flags |= 4 * (extra is not None) | 8 * (name is not None) | 16 * (comment is not None) | 2 * crc
    head = b"\x1f\x8b\x08" + bytes([flags]) + bytes(6)
    if extra is not None:
        head += struct.pack("<H", len(extra)) + extra
    for text in (name, comment):
        head += b"" if text is None else text + b"\0"
    return head + struct.pack("<H", zlib.crc32(head) & 0xFFFF) if crc else head


def member(head, plain=PLAIN):
    return head + make_gzip(plain)[10:]


ALL_FIELDS = with_fields(extra=b"ab\x02\x00xy", name=b"n\xe4me", comment=b"words", crc=True)


@pytest.mark.parametrize("tool", ["gzip", "igzip", "pigz"])
def test_what_other_tools_write_is_read(unpack, oracle, tool):
    blob = subprocess.run([oracle(tool), "-c"], input=PLAIN, capture_output=True, check=True).stdout
    assert unpack(blob) == PLAIN
    assert unpack(blob * 3, piece=1) == PLAIN * 3


@pytest.mark.parametrize("piece", [1, 3, 1 << 17])
def test_z04_optional_header_fields_are_passed_over(unpack, piece):
    blob = member(ALL_FIELDS) + member(with_fields(name=b"")) + member(with_fields(extra=b""))
    assert unpack(blob, piece=piece) == PLAIN * 3


def test_z04_a_wrong_header_crc_is_refused_where_it_stands(unpack):
    head = bytearray(ALL_FIELDS)
    head[4] ^= 1
    offset, reason = refusal(unpack, EMPTY + member(bytes(head)))
    assert offset == len(EMPTY) + len(head) - 2
    assert "header CRC is" in reason


@pytest.mark.parametrize("flag", [0x20, 0x40, 0x80])
@pytest.mark.parametrize("piece", [1, 1 << 17])
def test_z04_reserved_flags_are_refused(unpack, flag, piece):
    offset, reason = refusal(unpack, EMPTY + member(with_fields(flags=flag)), piece=piece)
    assert (offset, reason) == (len(EMPTY) + 3, f"reserved flag bits set: {flag:#04x}")


@pytest.mark.parametrize("piece", [1, 1 << 17])
def test_another_method_than_deflate_is_refused(unpack, piece):
    blob = b"\x1f\x8b\x07" + bytes(30)
    expected = (2, "compression method is 7, expected 8 (deflate)")
    assert refusal(unpack, blob, piece=piece) == expected


def test_other_bytes_are_not_a_member(unpack):
    assert refusal(unpack, b"\x1f\x8c" + bytes(30)) == (0, "not a gzip member")


@pytest.mark.parametrize("piece", [1, 1 << 17])
def test_z04_header_size_is_capped_at_the_byte(unpack, piece):
    for head in (
        with_fields(name=b"n" * 400),
        with_fields(extra=bytes(400)),
        with_fields(extra=bytes(40), name=b"n" * 300, comment=b"c" * 100, crc=True),
    ):
        assert unpack(member(head), piece=piece, gzip_header_bytes=len(head)) == PLAIN
        with pytest.raises(LimitExceeded) as caught:
            unpack(member(head), piece=piece, gzip_header_bytes=len(head) - 1)
        assert caught.value.args[:3] == ("gzip_header_bytes", len(head) - 1, len(head))


def test_z04_an_endless_name_is_stopped_by_the_cap(unpack):
    head = with_fields(name=b"")[:-1] + b"n" * MIB
    with pytest.raises(LimitExceeded, match="gzip_header_bytes"):
        unpack(head, "compat")


@pytest.mark.parametrize("field", ["name", "comment"])
def test_names_go_cannot_read_are_refused_in_strict_and_found_in_compat(unpack, field):
    assert unpack(member(with_fields(**{field: b"n" * 511}))) == PLAIN
    blob = EMPTY + member(with_fields(extra=b"\0\1\2", **{field: b"n" * 512}))
    assert refusal(unpack, blob)[0] == len(EMPTY)
    output, decoder = unpack(blob, "compat", decoder=True)
    assert output == PLAIN
    assert [(f.code, f.offset) for f in decoder.findings] == [("long-name", len(EMPTY))]


def test_findings_are_kept_up_to_their_cap_and_counted_beyond(unpack):
    blob = member(with_fields(name=b"n" * 600), b"") * 5
    _, decoder = unpack(blob, "compat", decoder=True, findings=2)
    assert (len(decoder.findings), decoder.findings_total) == (2, 5)


@pytest.mark.parametrize("piece", [1, 1000, 1 << 17])
def test_z04_members_concatenate(unpack, piece):
    rng = random.Random(3)
    plains = [
        rng.randbytes(rng.choice((0, 1, 5, 3000))) + b"a" * rng.randrange(5000) for _ in "x" * 40
    ]
    blob = b"".join(map(make_gzip, plains))
    output, decoder = unpack(blob, piece=piece, decoder=True)
    assert output == b"".join(plains)
    assert decoder.stored == len(blob)
    assert decoder.restart[0] == len(blob) - len(make_gzip(plains[-1]))
    assert decoder.restart[1] == len(output) - len(plains[-1])


def test_z04_a_hundred_thousand_empty_members_are_no_depth(unpack):
    output, decoder = unpack(EMPTY * 100_000, decoder=True)
    assert output == b""
    assert decoder.stored == 100_000 * len(EMPTY)


def test_z04_members_are_capped(unpack):
    assert unpack(EMPTY * 7, members=7) == b""
    with pytest.raises(LimitExceeded) as caught:
        unpack(EMPTY * 8, members=7)
    assert caught.value.args[:3] == ("members", 7, 8)


@pytest.mark.parametrize("piece", [1, 1 << 17])
def test_z05_nul_tail_is_refused_in_strict_and_found_in_compat(unpack, piece):
    blob = make_gzip(PLAIN)
    padded = blob + bytes(512)
    offset, reason = refusal(unpack, padded, piece=piece)
    assert (offset, reason) == (len(blob), "bytes follow the end of the compressed data")
    output, decoder = unpack(padded, "compat", piece, decoder=True)
    assert output == PLAIN
    assert decoder.stored == len(padded)
    text = "512 NUL bytes after the end of the compressed data"
    assert decoder.findings == [("nul-tail", len(blob), text)]


@pytest.mark.parametrize("piece", [1, 100, 1 << 17])
def test_z05_nul_tail_is_capped(unpack, piece):
    blob = make_gzip(b"x")
    assert unpack(blob + bytes(300), "compat", piece, nul_tail_bytes=300) == b"x"
    with pytest.raises(LimitExceeded) as caught:
        unpack(blob + bytes(500), "compat", piece, nul_tail_bytes=300)
    assert caught.value.args[:3] == ("nul_tail_bytes", 300, 301)


@pytest.mark.parametrize("profile", ["strict", "compat"])
@pytest.mark.parametrize("tail", [b"x", b"\x1f", b"\x1f\x8b", b"\x1f\x00", b"tail" * 50, b"\xff"])
def test_z05_other_trailing_bytes_are_refused_in_both_profiles(unpack, profile, tail):
    blob = make_gzip(PLAIN)
    for piece in (1, 1 << 17):
        offset, reason = refusal(unpack, blob + tail, profile, piece)
        if tail in (b"\x1f", b"\x1f\x8b"):
            expected = (len(blob) + len(tail), "truncated inside member header")
        else:
            expected = (len(blob), "bytes after the last member do not begin another")
        assert (offset, reason) == expected


@pytest.mark.parametrize("piece", [1, 1 << 17])
def test_z05_nuls_between_members_are_refused_in_both_profiles(unpack, piece):
    blob = make_gzip(PLAIN) + bytes(9)
    assert refusal(unpack, blob + EMPTY, "strict", piece)[0] == len(blob) - 9
    offset, reason = refusal(unpack, blob + EMPTY, "compat", piece)
    assert (offset, reason) == (
        len(blob),
        "bytes other than NUL follow the NULs after the compressed data",
    )


@pytest.mark.parametrize("piece", [1, 7, 1 << 17])
def test_z06_wrong_crc_and_wrong_length_say_where_and_what(unpack, piece):
    blob = make_gzip(PLAIN)
    for at, name in ((len(blob) - 8, "CRC-32 is"), (len(blob) - 4, f"length is {len(PLAIN)} ")):
        hurt = bytearray(blob)
        hurt[at] ^= 1
        offset, reason = refusal(unpack, blob + bytes(hurt) + blob, piece=piece)
        assert offset == len(blob) + at
        assert reason.startswith(name)
        assert reason.endswith(f"trailer says {hurt_field(hurt, at)}")


def hurt_field(hurt, at):
    crc, size = struct.unpack("<II", hurt[-8:])
    return f"{crc:08x}" if at == len(hurt) - 8 else str(size)


def test_z06_a_trailer_cut_at_every_byte_is_refused(unpack):
    blob = make_gzip(PLAIN)
    for missing in range(1, 9):
        for piece in (1, 1 << 17):
            expected = (len(blob) - missing, "truncated inside")
            offset, reason = refusal(unpack, blob[:-missing], piece=piece)
            assert (offset, reason[:16]) == expected


def combine(first, second, size):
    """CRC-32 of a + b, from those of a and b and the size of b."""

    def times(a, b):
        product = 0
        for bit in range(31, -1, -1):
            product ^= b * (a >> bit & 1)
            b = b >> 1 ^ 0xEDB88320 * (b & 1)
        return product

    power, square, size = 1 << 31, 1 << 30, 8 * size  # x**0 and x**1, bits reflected
    while size:
        power = times(power, square) if size & 1 else power
        square, size = times(square, square), size >> 1
    return times(power, first) ^ second


def member_of_zeros(count):
    """Header and deflate data of `count` zeros, out of one block that needs nothing before it."""
    unit = bytes(16 * MIB)
    maker, rest = zlib.compressobj(6, zlib.DEFLATED, -15), count % len(unit)
    block = maker.compress(unit) + maker.flush(zlib.Z_FULL_FLUSH)
    crc, unit_crc = 0, zlib.crc32(unit)
    for _ in range(count // len(unit)):
        crc = combine(crc, unit_crc, len(unit))
    tail = zlib.compress(unit[:rest], 6)[2:-4]
    return HEAD + block * (count // len(unit)) + tail, combine(crc, zlib.crc32(unit[:rest]), rest)


@pytest.mark.parametrize("size", [12345, 12346], ids=["right", "wrong"])
def test_z06_more_than_4_gib_in_a_member_is_counted_modulo_2_to_the_32(size):
    count = (4 << 30) + 12345
    body, crc = member_of_zeros(count)
    decoder = open_decoder("gzip", Limits(ratio=2000))
    out = memoryview(bytearray(MIB))
    decoder.feed(body)
    while not decoder.needs_input:
        decoder.readinto(out)
    decoder.feed(struct.pack("<II", crc, size))
    if size == 12345:
        assert decoder.readinto(out) == 0
        decoder.finish()
        assert decoder.produced == count
    else:
        reason = f"length is {count} (12345 modulo 2**32), trailer says {size}"
        with pytest.raises(CompressedDataError) as caught:
            decoder.readinto(out)
        assert caught.value.args == ("gzip", len(body) + 4, reason)


def test_z08_one_pass_gives_the_blobs_digest_and_its_outputs_without_mixing_them():
    blob = make_gzip(PLAIN) * 2 + bytes(100)
    decoder = open_decoder("gzip", Limits(), "compat")
    stored, output = hashlib.sha256(), hashlib.sha256()
    for piece in cut(blob, 5):
        stored.update(piece)
        decoder.feed(piece)
        for chunk in drain(decoder, 1000):
            output.update(chunk)
    decoder.finish()
    assert stored.digest() == hashlib.sha256(blob).digest()
    assert output.digest() == hashlib.sha256(PLAIN * 2).digest()
    assert (decoder.stored, decoder.produced) == (len(blob), 2 * len(PLAIN))


def test_corrupt_data_is_located_to_the_piece(unpack):
    plain = random.Random(1).randbytes(600_000)
    blob = bytearray(gzip.compress(plain, 1, mtime=0))
    blob[300_000:300_400] = bytes(400)
    offset, reason = refusal(unpack, bytes(blob))
    assert reason.startswith(("corrupt deflate data", "CRC-32 is"))
    assert offset > 300_000 - codec.PIECE_BYTES


def test_z10_a_huge_extra_field_in_pieces_is_only_passed_over(unpack):
    head = with_fields(extra=bytes(65_000))
    blob = member(head)
    made = open_decoder("gzip", Limits())
    assert decode_pieces(made, [blob[i : i + 997] for i in range(0, len(blob), 997)]) == PLAIN
    assert unpack(blob, gzip_header_bytes=len(head)) == PLAIN


def test_a_header_says_how_long_it_is_before_it_is_whole():
    for head in (HEAD, ALL_FIELDS, with_fields(name=b"abc"), with_fields(extra=b"x" * 300)):
        for length in range(len(head)):
            assert length < codec.header_size(head[:length]) <= len(head)
        assert codec.header_size(head + b"body") == len(head)
