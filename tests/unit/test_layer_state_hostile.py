"""States that nobody saved: from_state() gives a FormatError, or a hasher that knows our errors."""

import json
import random

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st
from support.layers import make_layer

from ocifast import LayerHasher
from ocifast.errors import FormatError, OcifastError

NOISE = random.Random(8).randbytes(8000)


def states():
    found = []
    for codec in ("plain", "gzip", "zstd"):
        blob = make_layer(codec, 1, 4, 900).blob
        for at in (0, 5, 700, len(blob) - 3):
            hasher = LayerHasher(table=at != 700)
            hasher.update(blob[:at])
            found.append(hasher.state())
    return found


STATES = states()


def seal(body):
    return bytes(body) + xxhash.xxh3_128_digest(bytes(body))


def try_state(state):
    """Whatever the bytes are: a FormatError, or a hasher that only knows our errors."""
    try:
        hasher = LayerHasher.from_state(state)
    except FormatError:
        return False
    try:
        hasher.update(bytes(2000))
        hasher.update(NOISE[:5000])
        hasher.state()
        hasher.finish()
    except OcifastError:
        pass
    return True


@pytest.mark.parametrize("wrong", [b"", b"x", bytes(200), NOISE[:3000], b"ocifast.layer/1\n"])
def test_what_is_no_state_is_a_format_error(wrong):
    for state in (wrong, seal(wrong), bytearray(wrong)):
        with pytest.raises(FormatError):
            LayerHasher.from_state(state)


def test_every_flipped_bit_is_found():
    state = STATES[6]
    for at in range(len(state)):
        damaged = bytearray(state)
        damaged[at] ^= 1 << at % 8
        with pytest.raises(FormatError):
            LayerHasher.from_state(damaged)


def test_every_cut_is_found_even_when_summed_up_again():
    for state in STATES:
        for at in range(0, len(state) - 17, 3):
            with pytest.raises(FormatError):
                LayerHasher.from_state(state[:at])
            with pytest.raises(FormatError):
                LayerHasher.from_state(seal(state[:at]))


@given(st.data())
@settings(max_examples=600)
def test_a_mutated_state_summed_up_again_only_ever_is_a_format_error(data):
    body = bytearray(data.draw(st.sampled_from(STATES))[:-16])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(16, len(body) - 1))
        kind = data.draw(st.sampled_from(["flip", "set", "insert", "delete"]))
        if kind == "flip":
            body[at] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "set":
            body[at : at + 8] = data.draw(st.binary(min_size=8, max_size=8))
        elif kind == "insert":
            body[at:at] = data.draw(st.binary(max_size=9))
        else:
            del body[at : at + data.draw(st.integers(1, 9))]
    try_state(seal(body))


def parts_of(state):
    parts, at, body = [], 16, state[:-16]
    while at < len(body):
        size = int.from_bytes(body[at : at + 8], "big")
        parts.append(body[at + 8 : at + 8 + size])
        at += 8 + size
    return parts


def with_parts(parts):
    return seal(b"ocifast.layer/1\n" + b"".join(len(p).to_bytes(8, "big") + p for p in parts))


def test_the_parts_can_be_taken_apart_here():
    for state in STATES:
        assert with_parts(parts_of(state)) == state


WRONG_ABOUT = {
    "profile": ["", "STRICT", None, [], 5],
    "table": [None, 1, "yes", []],
    "codec": ["xz", "bzip2", "identity" * 9, None, [], "gzip", "zstd", "identity", ""],
    "head": ["0", "zz", "00" * 50, None, 7, "1f8b08"],
    "offset": [-1, 1 << 62, 10**30, "5", None, 5.5, True, 0, 1],
    "restart": [[], [0], [0, 0, 0], ["0", 0], [-1, 0], [10**30, 10**30], None, {}, [0, 10**18]],
    "findings": [None, {}, [[]], [["a", "b", "c", "d"]], [[1, 2, 3, 4]], ["abcd"], [None]],
    "finding_count": [-1, None, "1", 1 << 70],
}


@pytest.mark.parametrize("key", WRONG_ABOUT)
def test_wrong_values_in_the_readable_part_are_format_errors_or_harmless(key):
    for state in STATES:
        encoded, *rest = parts_of(state)
        about = json.loads(encoded)
        for value in WRONG_ABOUT[key]:
            taken = try_state(with_parts([json.dumps({**about, key: value}).encode(), *rest]))
            assert (
                not taken
                or key in ("codec", "head", "offset", "finding_count")
                or value == about[key]
            )
        del about[key]
        with pytest.raises(FormatError):
            LayerHasher.from_state(with_parts([json.dumps(about).encode(), *rest]))


@pytest.mark.parametrize(
    "encoded", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b"1" * 9999]
)
def test_a_readable_part_that_is_not_one_is_a_format_error(encoded):
    with pytest.raises(FormatError):
        LayerHasher.from_state(with_parts([encoded, *parts_of(STATES[5])[1:]]))


def test_parts_missing_doubled_or_swapped_are_format_errors():
    for state in STATES[4:]:
        parts = parts_of(state)
        for wrong in [
            [],
            parts[:4],
            [*parts, b""],
            parts * 2,
            parts[::-1],
            [parts[0], *parts[:0:-1]],
        ]:
            with pytest.raises(FormatError):
                LayerHasher.from_state(with_parts(wrong))
        for at in range(1, 4):  # the hashes say how much they have seen
            other = [*parts]
            other[at] = other[at][:-1] + bytes([other[at][-1] ^ 64])
            if parts[at] != parts_of(STATES[4])[3]:
                with pytest.raises(FormatError):
                    LayerHasher.from_state(with_parts(other))


def test_random_parts_are_format_errors():
    rng = random.Random(4)
    for state in STATES:
        parts = parts_of(state)
        for at in range(5):
            for size in (0, 1, 107, 108, 109, 500, len(parts[at])):
                other = [*parts]
                other[at] = rng.randbytes(size)
                with pytest.raises(FormatError):
                    LayerHasher.from_state(with_parts(other))
