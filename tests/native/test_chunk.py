"""Chunk borders and CRC-64: the reference's vector, and no dependence on the cut."""

import hashlib
import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocifast._native.chunk import CHUNK_MAX_BYTES, Chunker, crc64

DATA = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(20_000))
BORDERS = [16094, 45539, 85187, 90880, 110904, 254133, 423215, 532951, 546876]


def test_borders_are_those_of_the_reference() -> None:
    assert Chunker().borders(DATA) == BORDERS


@given(st.lists(st.integers(0, len(DATA)), max_size=10))
def test_borders_do_not_depend_on_the_cut(cuts) -> None:
    chunker, found = Chunker(), []
    places = [0, *sorted(cuts), len(DATA)]
    for start, end in itertools.pairwise(places):
        found += [start + border for border in chunker.borders(DATA[start:end])]
    assert found == BORDERS


def test_each_file_begins_anew() -> None:
    chunker = Chunker()
    chunker.borders(DATA[:50_000])
    chunker.begin()
    assert chunker.borders(DATA) == BORDERS


def test_a_chunk_has_an_end_even_where_the_sum_never_tells() -> None:
    chunker, size = Chunker(), 2 * CHUNK_MAX_BYTES + 5
    assert chunker.borders(bytes(size)) == [CHUNK_MAX_BYTES, 2 * CHUNK_MAX_BYTES]


@given(st.binary(max_size=700), st.integers(0, 300))
def test_borders_are_those_of_the_sum_taken_byte_by_byte(data, repeats) -> None:
    data *= 1 + repeats
    s1, s2, window, expected = 64 * 31, 64 * 63 * 31, bytes(64), []
    padded = window + data
    for at, byte in enumerate(data):
        s1 += byte - padded[at]
        s2 += s1 - 64 * (padded[at] + 31)
        if s2 & 0xFFFF == 0xFFFF:
            expected.append(at + 1)
    assert Chunker().borders(data) == expected


def plain(data: bytes) -> int:
    crc = ~0 & (2**64 - 1)
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xD800000000000000 if crc & 1 else 0)
    return ~crc & (2**64 - 1)


def test_the_check_value_of_the_catalogue_comes_out() -> None:
    assert crc64(b"123456789") == 0xB90956C775A41001
    assert crc64(b"") == 0


@given(st.binary(max_size=300), st.integers(0, 300))
def test_a_checksum_does_not_depend_on_the_cut(data, cut) -> None:
    assert crc64(data[cut:], crc64(data[:cut])) == crc64(data) == plain(data)


@pytest.mark.figures
def test_both_run_at_hundreds_of_megabytes_a_second() -> None:
    data = DATA * 20
    for work in (Chunker().borders, crc64):
        begin = time.process_time()
        work(data)
        assert len(data) / (time.process_time() - begin) > 100e6
