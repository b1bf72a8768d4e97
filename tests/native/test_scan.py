"""scan(): the same table and digests as parser and hashers fed one after the other."""

import hashlib
import io
import random
import tarfile
import threading

import pytest

from ocifast._native.scan import scan
from ocifast._native.sha256 import Sha256
from ocifast._native.tar import TarParser
from ocifast.errors import StateError, TarError
from ocifast.formats.tar import EntryTable
from ocifast.limits import Limits


def make_tar(files=40, size=3000):
    target, rng = io.BytesIO(), random.Random(1)
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for number in range(files):
            member = tarfile.TarInfo(f"folder/{number}-ä")
            member.size = rng.randrange(size)
            tar.addfile(member, io.BytesIO(rng.randbytes(member.size)))
    return target.getvalue()


PLAIN = make_tar()
STORED = random.Random(2).randbytes(70_000)


def parsed(data):
    parser = TarParser(Limits())
    parser.feed(data)
    parser.finish()
    return EntryTable(*parser.take_table())


@pytest.mark.parametrize("piece", [1, 511, 512, 40_000, 1 << 20])
def test_both_digests_and_the_table_are_those_of_one_look_each(piece):
    parser, diff, blob = TarParser(Limits()), Sha256(), Sha256()
    stored = memoryview(STORED)
    for at in range(0, len(PLAIN), piece):
        share = piece * len(STORED) // len(PLAIN) + 1
        scan(parser, diff, PLAIN[at : at + piece], blob, stored[:share])
        stored = stored[share:]
    scan(parser, diff, b"", blob, stored)
    parser.finish()
    assert EntryTable(*parser.take_table()) == parsed(PLAIN)
    assert diff.digest() == hashlib.sha256(PLAIN).digest()
    assert blob.digest() == hashlib.sha256(STORED).digest()


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_will_do(kind):
    parser, diff = TarParser(Limits()), Sha256()
    scan(parser, diff, kind(PLAIN))
    assert parser.offset == len(PLAIN)
    assert diff.digest() == hashlib.sha256(PLAIN).digest()


def test_an_empty_buffer_changes_nothing():
    parser, diff, blob = TarParser(Limits()), Sha256(), Sha256()
    scan(parser, diff, b"", blob, b"")
    scan(parser, diff, b"", None, b"ignored without a digest to put it in")
    scan(parser, diff, b"", blob, None)
    assert parser.offset == 0
    assert diff.digest() == blob.digest() == hashlib.sha256().digest()


def test_a_broken_tar_raises_after_both_digests_took_their_bytes():
    parser, diff, blob = TarParser(Limits()), Sha256(), Sha256()
    garbage = random.Random(3).randbytes(2048)
    with pytest.raises(TarError):
        scan(parser, diff, garbage, blob, b"stored")
    assert diff.digest() == hashlib.sha256(garbage).digest()
    assert blob.digest() == hashlib.sha256(b"stored").digest()
    with pytest.raises(StateError):
        scan(parser, diff, garbage)
    assert diff.digest() == hashlib.sha256(garbage).digest()


def test_one_digest_cannot_be_both():
    digest = Sha256()
    with pytest.raises(ValueError, match="two objects"):
        scan(TarParser(Limits()), digest, b"a", digest, b"b")


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_none_is_a_type_error(missing):
    arguments = [TarParser(Limits()), Sha256(), b"a"]
    arguments[missing] = None
    with pytest.raises(TypeError):
        scan(*arguments)


def test_a_parser_that_another_thread_feeds_is_refused():
    """A second thread in the same parser must get an error, or its turn; never its memory."""
    parser, zeros = TarParser(Limits(tail_bytes=1 << 40)), bytes(1 << 22)
    scan(parser, Sha256(), bytes(1024))
    refused, fed = [], []

    def work():
        digest = Sha256()
        for _ in range(30):
            try:
                scan(parser, digest, zeros)
                fed.append(1)
            except StateError:
                refused.append(1)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert parser.offset == 1024 + len(fed) * len(zeros)
    assert len(fed) + len(refused) == 90
