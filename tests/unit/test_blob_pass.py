"""Blobs that are no layers: hashed and copied, whatever is in them."""

import errno
import gzip
import os

import pytest
from support.layers import make_tar, sha256
from support.passes import BLOB, Piece, payload_of, run, spec_of
from support.processes import nothing_left

from ocifast import Engine
from ocifast.errors import DigestMismatch, SizeMismatch

BLOBS = {
    "empty": b"",
    "byte": b"x",
    "json": b'{"predicate": {}}',
    "tar": make_tar(1, 3),
    "cut tar": make_tar(1, 3)[:700],
    "cut gzip": gzip.compress(make_tar(1, 30))[:-9],
    "xz": b"\xfd7zXZ\0" + bytes(50),
    "slot": os.urandom(256 << 10),
    "slots": os.urandom((512 << 10) + 1),
}


@pytest.fixture(scope="module", params=[0, 2], ids=["inline", "workers"])
def shared(request):
    with Engine(request.param, start="fork") as engine:
        yield engine


@pytest.fixture
def engine(shared, no_job_is_small):
    """An engine whose workers run already, so that a test sees what it leaves itself."""
    if len(shared.pids) < shared.workers:
        run(shared, Piece("/dev/null", None, spec_of(), BLOB))
    return shared


@pytest.fixture
def source(tmp_path):
    def write(blob):
        (tmp_path / "source").write_bytes(blob)
        return str(tmp_path / "source")

    return write


@pytest.mark.parametrize("blob", BLOBS.values(), ids=BLOBS)
def test_any_blob_is_copied_and_named_by_its_digest(blob, engine, source, tmp_path):
    target = str(tmp_path / "target")
    spec = spec_of(expected={"digest": sha256(blob), "size": len(blob)})
    with nothing_left():
        payload = payload_of(engine, Piece(source(blob), target, spec, BLOB))
    read = payload["read"]
    assert (read["digest"], read["size"]) == (sha256(blob), len(blob))
    assert (read["diff_id"], read["entries"]) == (sha256(blob), 0)
    assert payload["written"] == {**read, "recipe": None}
    with open(target, "rb") as file:
        assert file.read() == blob


def test_a_blob_may_be_looked_at_without_a_copy(engine, source):
    payload = payload_of(engine, Piece(source(b"text"), None, spec_of(), BLOB))
    assert payload["written"] is None
    assert payload["read"]["digest"] == sha256(b"text")


@pytest.mark.parametrize("blob", [b"", b"text", bytes(600_000)], ids=["empty", "short", "long"])
def test_j06_a_blob_that_is_not_what_was_promised_is_refused(blob, engine, source, tmp_path):
    target = str(tmp_path / "target")
    for expected, error in [
        ({"digest": sha256(b"lie")}, DigestMismatch),
        ({"size": len(blob) + 1}, SizeMismatch),
        ({"size": max(len(blob) - 1, 0)}, SizeMismatch if blob else None),
    ]:
        piece = Piece(source(blob), target, spec_of(expected=expected), BLOB)
        with nothing_left():
            (outcome,) = run(engine, piece)
            assert isinstance(outcome.error, error) if error else outcome.error is None


def test_a_window_of_a_file_is_a_blob(engine, source):
    piece = Piece(source(b"beforetextafter"), None, spec_of(window=[6, 4]), BLOB)
    assert payload_of(engine, piece)["read"]["digest"] == sha256(b"text")


def test_an_empty_window_is_an_empty_blob(engine, source):
    piece = Piece(source(b"before"), None, spec_of(window=[6, 0]), BLOB)
    assert payload_of(engine, piece)["read"]["digest"] == sha256(b"")


def test_a_full_disk_is_an_error_of_its_own_kind(engine, source):
    with nothing_left(), pytest.raises(OSError, match="No space") as caught:
        payload_of(engine, Piece(source(b"text"), "/dev/full", spec_of(), BLOB))
    assert caught.value.errno == errno.ENOSPC
