"""The open state: Go's layout, round trips, and states nobody can have stored.

The oracle is the compression function below, written from FIPS 180-4 with nothing of ours in it:
its constants are computed from primes, so a digit mistyped in C cannot be repeated here.
"""

import copy
import hashlib
import pickle
import struct
from itertools import count, islice
from math import isqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocifast._native.sha256 import Sha256
from ocifast.errors import FormatError

MASK = 0xFFFFFFFF
PRIMES = list(islice((n for n in count(2) if all(n % d for d in range(2, isqrt(n) + 1))), 64))
DATA = bytes(range(256)) * 3


def cube_root(n):
    root = round(n ** (1 / 3))
    while root**3 > n:
        root -= 1
    while (root + 1) ** 3 <= n:
        root += 1
    return root


INITIAL = [isqrt(p << 64) & MASK for p in PRIMES[:8]]  # 32 fractional bits of the square roots
ROUND = [cube_root(p << 96) & MASK for p in PRIMES]  # and of the cube roots


def rotr(x, n):
    return (x >> n | x << (32 - n)) & MASK


def compress(h, block):
    w = list(struct.unpack(">16I", block))
    for t in range(16, 64):
        s0 = rotr(w[t - 15], 7) ^ rotr(w[t - 15], 18) ^ w[t - 15] >> 3
        s1 = rotr(w[t - 2], 17) ^ rotr(w[t - 2], 19) ^ w[t - 2] >> 10
        w.append((w[t - 16] + s0 + w[t - 7] + s1) & MASK)
    a, b, c, d, e, f, g, last = h
    for t in range(64):
        big1 = rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)
        t1 = last + big1 + (e & f ^ ~e & g) + ROUND[t] + w[t]
        t2 = (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + (a & b ^ a & c ^ b & c)
        a, b, c, d, e, f, g, last = (t1 + t2) & MASK, a, b, c, (d + t1) & MASK, e, f, g
    return [(x + y) & MASK for x, y in zip(h, (a, b, c, d, e, f, g, last), strict=True)]


def go_state(data):
    """What Go's crypto/sha256 MarshalBinary gives after writing `data`."""
    h, whole = INITIAL, len(data) // 64 * 64
    for at in range(0, whole, 64):
        h = compress(h, data[at : at + 64])
    tail = data[whole:].ljust(64, b"\0")
    return b"sha\x03" + struct.pack(">8I", *h) + tail + struct.pack(">Q", len(data))


def test_the_oracle_knows_the_digest_of_the_empty_message():
    padding = b"\x80" + bytes(63)
    assert struct.pack(">8I", *compress(INITIAL, padding)) == hashlib.sha256().digest()


def test_every_state_up_to_200_bytes_is_the_one_of_go():
    for size in range(201):
        assert Sha256(DATA[:size]).state() == go_state(DATA[:size]), size


def test_the_state_after_abc_is_this_one():
    # No block is complete, so h is still the initial value: FIPS 180-4, section 5.3.3.
    expected = "736861036a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19"
    expected += "616263".ljust(128, "0") + "0000000000000003"
    assert Sha256(b"abc").state().hex() == expected


def test_the_state_after_a_long_and_then_a_short_tail_hides_the_long_one():
    h = Sha256(b"\xff" * 63)
    h.update(b"\xff\xff")
    assert h.state() == go_state(b"\xff" * 65)


@given(st.binary(max_size=400), st.binary(max_size=400))
def test_a_restored_state_goes_on_as_if_nothing_had_happened(before, after):
    h = Sha256.from_state(Sha256(before).state())
    assert h.state() == go_state(before)
    h.update(after)
    assert h.digest() == hashlib.sha256(before + after).digest()


def test_a_state_may_come_from_any_buffer():
    state = Sha256(DATA).state()
    for buffer in (bytearray(state), memoryview(state), memoryview(b"x" + state)[1:]):
        assert Sha256.from_state(buffer).digest() == hashlib.sha256(DATA).digest()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_carries_the_state(protocol):
    h = pickle.loads(pickle.dumps(Sha256(DATA[:100]), protocol))
    h.update(DATA[100:])
    assert h.digest() == hashlib.sha256(DATA).digest()


@pytest.mark.parametrize("duplicate", [Sha256.copy, copy.copy, copy.deepcopy])
def test_a_copy_goes_its_own_way(duplicate):
    h = Sha256(b"abc")
    other = duplicate(h)
    other.update(b"def")
    assert h.digest() == hashlib.sha256(b"abc").digest()
    assert other.digest() == hashlib.sha256(b"abcdef").digest()


def changed(state, at, value):
    return state[:at] + value + state[at + len(value) :]


GOOD = Sha256(DATA[:100]).state()
HOSTILE = {
    "empty": b"",
    "one-short": GOOD[:-1],
    "one-long": GOOD + b"\0",
    "sha224": changed(GOOD, 0, b"sha\x02"),
    "sha512": changed(GOOD, 0, b"sha\x07"),
    "upper-case": changed(GOOD, 0, b"SHA\x03"),
    "zeros": bytes(108),
    "first-byte-behind-the-tail": changed(GOOD, 36 + 36, b"\x01"),
    "last-byte-behind-the-tail": changed(GOOD, 99, b"\x80"),
    "tail-longer-than-the-length-says": changed(GOOD, 100, struct.pack(">Q", 99)),
    "length-of-2**61": changed(GOOD, 100, struct.pack(">Q", 1 << 61)),
    "length-of-2**64-1": changed(GOOD, 100, b"\xff" * 8),
    "chaining-value-without-a-block": changed(GOOD, 100, struct.pack(">Q", 36)),
}


@pytest.mark.parametrize("state", HOSTILE.values(), ids=HOSTILE)
def test_a_state_nobody_can_have_stored_is_refused(state):
    with pytest.raises(FormatError, match=r"^SHA-256 state: "):
        Sha256.from_state(state)


@given(st.binary(min_size=108, max_size=108))
def test_a_state_is_refused_or_given_back_unchanged(state):
    for candidate in (state, b"sha\x03" + state[4:], b"sha\x03" + state[4:99] + bytes(7) + b"\x3f"):
        try:
            h = Sha256.from_state(candidate)
        except FormatError:
            continue
        assert h.state() == candidate


@pytest.mark.parametrize("bad", ["text", None, 5])
def test_a_state_that_is_no_buffer_is_a_type_error(bad):
    with pytest.raises(TypeError):
        Sha256.from_state(bad)
