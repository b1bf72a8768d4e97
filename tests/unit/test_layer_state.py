"""LayerHasher.state(): an upload goes on from any byte, elsewhere, with the same report."""

import gzip
import random
import struct

import pytest
from support.layers import LAYER, check, make_layer, make_tar, squeeze

from ocifast import Descriptor, LayerHasher, Limits, hash_layer
from ocifast.errors import (
    CompressedDataError,
    LimitExceeded,
    SizeMismatch,
    StateError,
    TarError,
    VerificationError,
)

CODECS = ["plain", "gzip", "zstd"]
MIB = 1 << 20


def resume(hasher, blob, **options):
    """Go on in another hasher; gives it after all bytes up to where the first one stood."""
    at = hasher.offset
    other = LayerHasher.from_state(hasher.state(), **options)
    assert other.offset <= at
    other.update(blob[other.offset : at])
    assert other.offset == at
    return other


def long_tar(seed=0):
    """A tar of 6 MB that does not shrink, so that members of it lie a MiB apart."""
    return make_tar(seed, 40, 300_000)


def in_parts(plain, codec, size):
    return b"".join(squeeze(plain[at : at + size], codec) for at in range(0, len(plain), size))


def skippable(size=100):
    return struct.pack("<II", 0x184D2A5E, size) + bytes(size)


@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize("codec", CODECS)
def test_an_upload_goes_on_from_every_byte(codec, table):
    layer = make_layer(codec, 2, 2, 700)
    whole = hash_layer(layer.blob, profile="strict")
    hasher = LayerHasher(table=table)
    for at in range(0, len(layer.blob), 7 if codec == "plain" else 1):
        other = resume(hasher, layer.blob)
        other.update(layer.blob[at:])
        report = other.finish()
        check(report, layer)
        assert report.table == (whole.table if table else None)
        hasher.update(layer.blob[at : at + (7 if codec == "plain" else 1)])
    check(hasher.finish(), layer)


@pytest.mark.parametrize("codec", CODECS)
def test_an_upload_may_be_passed_on_after_every_piece(codec):
    layer = make_layer(codec, 5, 30, 3000)
    hasher = LayerHasher(table=True)
    for at in range(0, len(layer.blob), 997):
        hasher = resume(hasher, layer.blob)
        hasher.update(layer.blob[at : at + 997])
    report = hasher.finish()
    check(report, layer)
    assert report.table == hash_layer(layer.blob).table


@pytest.mark.parametrize("tail", ["", "skippable"])
@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_only_the_bytes_since_the_last_member_or_frame_are_asked_for_again(codec, tail):
    plain = long_tar()
    blob = in_parts(plain, codec, 1_300_000)
    if tail and codec == "zstd":
        blob += skippable(1_200_000) + skippable()
    whole = hash_layer(blob, profile="strict")
    hasher, most = LayerHasher(table=True), 0
    for at in range(0, len(blob), 99_991):
        again = LayerHasher.from_state(hasher.state())
        most = max(most, at - again.offset)
        again.update(blob[again.offset : at])
        hasher = again
        hasher.update(blob[at : at + 99_991])
    hasher = resume(hasher, blob)
    report = hasher.finish()
    assert (report.digest, report.diff_id, report.size) == (whole.digest, whole.diff_id, len(blob))
    assert report.table == whole.table
    assert most < (5 if tail and codec == "zstd" else 3) * MIB


def test_a_single_member_is_asked_for_from_its_beginning():
    layer = make_layer("gzip", 1, 40, 100_000)
    hasher = LayerHasher()
    hasher.update(layer.blob[:-1])
    assert LayerHasher.from_state(hasher.state()).offset == 0


def test_an_uncompressed_upload_asks_for_nothing_again():
    layer = make_layer("plain", 1)
    hasher = LayerHasher()
    for at in (5, 9, 10, 600, 5000):
        hasher.update(layer.blob[hasher.offset : at])
        hasher = LayerHasher.from_state(hasher.state())
        assert hasher.offset == at


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_other_bytes_than_before_are_a_verification_error(codec):
    layer = make_layer(codec, 6, 30, 5000)
    cut, rng = len(layer.blob) * 2 // 3, random.Random(codec)
    hasher = LayerHasher()
    hasher.update(layer.blob[:cut])
    state = hasher.state()
    for at in [0, 1, 3, 4, 9, 10, cut - 1, *(rng.randrange(cut) for _ in range(150))]:
        wrong = bytearray(layer.blob[:cut])
        wrong[at] ^= 1 << rng.randrange(8)
        other = LayerHasher.from_state(state)
        with pytest.raises(VerificationError):
            other.update(bytes(wrong) + layer.blob[cut:])
        with pytest.raises(StateError):
            other.finish()


def test_finishing_before_all_is_given_again_is_refused():
    layer = make_layer("gzip", 6)
    hasher = LayerHasher()
    hasher.update(layer.blob)
    other = LayerHasher.from_state(hasher.state())
    other.update(layer.blob[:-1])
    with pytest.raises(StateError):
        other.state()
    with pytest.raises(StateError):
        other.finish()


def test_offsets_in_errors_count_from_the_beginning_of_the_blob():
    plain = long_tar(1)
    members = [
        squeeze(plain[at : at + 1_500_000], "gzip") for at in range(0, len(plain), 1_500_000)
    ]
    blob = b"".join(members)
    bad = blob + b"no member"
    with pytest.raises(CompressedDataError) as straight:
        hash_layer(bad)
    hasher = LayerHasher(profile="compat")
    hasher.update(blob[:-5])
    again = LayerHasher.from_state(hasher.state())
    assert again.offset > 0
    again.update(blob[again.offset : len(blob) - 5])
    with pytest.raises(CompressedDataError) as resumed:
        again.update(bad[len(blob) - 5 :])
    assert straight.value.offset == resumed.value.offset == len(blob)
    assert str(straight.value) == str(resumed.value)


def long_named(plain, name):
    """A gzip member whose name is longer than Go reads."""
    member = gzip.compress(plain, 1, mtime=0)
    return member[:3] + b"\x08" + member[4:10] + name + b"\0" + member[10:]


def test_findings_are_neither_lost_nor_doubled_nor_moved():
    plain = long_tar(2)
    parts = [plain[at : at + 1_200_000] for at in range(0, len(plain), 1_200_000)]
    blob = b"".join(long_named(part, b"n" * 600) for part in parts) + bytes(77)
    expected = Descriptor(media_type=LAYER)
    whole = hash_layer(blob, expected=expected)
    assert whole.finding_count == len(parts) + 2
    hasher = LayerHasher(profile="compat", expected=expected)
    for at in range(0, len(blob), 300_007):
        hasher = resume(hasher, blob, expected=expected)
        hasher.update(blob[at : at + 300_007])
    report = hasher.finish()
    assert report.findings == whole.findings
    assert report.finding_count == whole.finding_count


def test_what_is_expected_is_asked_again_of_the_one_that_goes_on():
    layer = make_layer("gzip", 7)
    hasher = LayerHasher()
    hasher.update(layer.blob[:500])
    state = hasher.state()
    with pytest.raises(CompressedDataError, match="promises identity"):
        LayerHasher.from_state(state, expected=Descriptor(media_type=LAYER))
    short = LayerHasher.from_state(state, expected=Descriptor(size=300))
    with pytest.raises(SizeMismatch):
        short.update(layer.blob[:500])


def test_limits_are_asked_again_of_the_one_that_goes_on():
    layer = make_layer("gzip", 7, 30)
    hasher = LayerHasher()
    hasher.update(layer.blob[: len(layer.blob) // 2])
    other = LayerHasher.from_state(hasher.state(), limits=Limits(entries=20))
    with pytest.raises(LimitExceeded, match="entries"):
        other.update(layer.blob)


@pytest.mark.parametrize("codec", CODECS)
def test_a_state_is_as_small_as_it_says(codec):
    files = 500
    layer = make_layer(codec, 1, files, 200)
    hasher = LayerHasher()
    for at in range(0, len(layer.blob), 4001):
        assert len(hasher.state()) < 2048 + 8 * (files + 2) + 3 * 1024
        hasher.update(layer.blob[at : at + 4001])


def test_a_tar_that_breaks_after_going_on_breaks_at_the_same_offset():
    blob = bytearray(make_layer("plain", 9, 10, 3000).blob)
    header = hash_layer(bytes(blob)).table[7].header_offset
    blob[header + 3] ^= 1
    with pytest.raises(TarError) as whole:
        hash_layer(bytes(blob), profile="strict")
    hasher = LayerHasher()
    for at in range(0, header, 100):
        hasher.update(blob[at : min(at + 100, header)])
        hasher = LayerHasher.from_state(hasher.state())
    with pytest.raises(TarError) as resumed:
        hasher.update(blob[header:])
    assert whole.value.offset == header
    assert str(whole.value) == str(resumed.value)
