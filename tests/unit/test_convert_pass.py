"""A layer becomes another blob: what is written, what is refused, and what is left behind."""

import errno
import gzip
import os
import random
import signal
import time

import pytest
from support.layers import make_layer, make_tar, sha256, squeeze, zstd
from support.passes import BLOB, Piece, jobs_of, payload_of, run, spec_of
from support.processes import nothing_left, wait_until

from ocifast import Engine
from ocifast.engine import inline, worker
from ocifast.errors import (
    CompressedDataError,
    DiffIdMismatch,
    DigestMismatch,
    LimitExceeded,
    OcifastError,
    SizeMismatch,
    TarError,
    UnknownRecipe,
    WorkerCrashed,
)

pytestmark = pytest.mark.usefixtures("no_job_is_small")

CODECS = ["plain", "gzip", "zstd"]
RECIPES = ["gzip", "zstd", "none"]
UNPACK = {"gzip": gzip.decompress, "zstd": zstd.decompress, "none": bytes, None: bytes}
SUFFIX = {"gzip": "+gzip", "zstd": "+zstd", "none": "", "plain": ""}
TYPE = "application/vnd.oci.image.layer.v1.tar"
LAYERS = {codec: make_layer(codec, 21, 60, 120_000) for codec in CODECS}
PLAIN = make_tar(21, 60, 120_000)


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
    """``source(blob)`` writes it and gives its path."""

    def write(blob, name="source"):
        (tmp_path / name).write_bytes(blob)
        return str(tmp_path / name)

    return write


@pytest.fixture
def target(tmp_path):
    return str(tmp_path / "target")


def read(path):
    with open(path, "rb") as file:
        return file.read()


# ---- what is written ----


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("how", RECIPES)
@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_becomes_every_other(codec, how, threads, engine, source, target):
    layer = LAYERS[codec]
    spec = spec_of(how, threads=threads, diff_id=layer.diff_id, expected={"digest": layer.digest})
    payload = payload_of(engine, Piece(source(layer.blob), target, spec))
    found = payload["read"]
    assert (found["digest"], found["size"]) == (layer.digest, len(layer.blob))
    assert (found["diff_id"], found["uncompressed_size"]) == (layer.diff_id, len(PLAIN))
    assert (found["media_type"], found["entries"]) == (layer.media_type, layer.entries)
    written = payload["written"]
    blob = read(target)
    assert (written["digest"], written["size"]) == (sha256(blob), len(blob))
    assert written["media_type"] == TYPE + SUFFIX[how]
    assert spec["recipe"]["name"] in written["recipe"]
    assert UNPACK[how](blob) == PLAIN


@pytest.mark.parametrize("codec", CODECS)
def test_without_a_recipe_the_bytes_are_written_as_they_are(codec, engine, source, target):
    layer = LAYERS[codec]
    payload = payload_of(engine, Piece(source(layer.blob), target, spec_of()))
    assert read(target) == layer.blob
    assert payload["written"] == {**payload["read"], "recipe": None}
    assert payload["written"]["digest"] == layer.digest


def test_without_a_place_to_write_a_layer_is_only_verified(engine, source):
    layer = LAYERS["gzip"]
    payload = payload_of(engine, Piece(source(layer.blob), None, spec_of()))
    assert payload["written"] is None
    assert payload["read"]["diff_id"] == layer.diff_id


def test_a_layer_whose_tar_is_tiny_is_converted_too(engine, source, target):
    for plain in (bytes(1024), make_tar(1, 1, 1), make_tar(1, 1, 1)[:1024]):
        for codec in CODECS:
            for how in RECIPES:
                path = source(squeeze(plain, codec))
                payload_of(engine, Piece(path, target, spec_of(how, threads=1)))
                assert UNPACK[how](read(target)) == plain


@pytest.mark.parametrize("codec", CODECS)
def test_a_window_of_a_file_is_a_layer(codec, engine, source, target):
    layer = LAYERS[codec]
    path = source(os.urandom(700) + layer.blob + os.urandom(5000))
    spec = spec_of("gzip", window=[700, len(layer.blob)])
    payload = payload_of(engine, Piece(path, target, spec))
    assert payload["read"]["digest"] == layer.digest
    assert gzip.decompress(read(target)) == PLAIN


@pytest.mark.parametrize("how", [None, "gzip"])
def test_a_file_that_became_shorter_than_its_window_is_an_error(how, engine, source, target):
    """Compat takes a tar without its end, so nothing else would notice."""
    plain = make_tar(1, 1, 1)
    spec = spec_of(how, window=[0, len(plain)])
    with pytest.raises(OSError, match="shorter") as caught:
        payload_of(engine, Piece(source(plain[:2048]), target, spec))
    assert caught.value.errno == errno.EIO


@pytest.mark.parametrize("how", ["gzip", "zstd"])
def test_the_bytes_are_the_same_whoever_works_with_how_many_threads(how, source, target):
    path, found = source(LAYERS["gzip"].blob), set()
    for workers in (0, 1, 2):
        with nothing_left(), Engine(workers, start="fork") as engine:
            for threads in (0, 1, 3):
                payload_of(engine, Piece(path, target, spec_of(how, threads=threads)))
                found.add(sha256(read(target)))
    assert len(found) == 1


def test_slots_as_large_as_blocks_give_the_same_bytes(source, target):
    path, found = source(LAYERS["plain"].blob), set()
    for slot_bytes in (64 << 10, 256 << 10, 1 << 20):
        with Engine(0, slot_bytes=slot_bytes) as engine:
            payload_of(engine, Piece(path, target, spec_of("gzip", threads=1)))
            found.add(read(target))
    assert len(found) == 1


# ---- what is refused ----


def promised(**what):
    return {"expected": what}


REFUSED = {
    "diff_id": ({"diff_id": sha256(b"lie")}, DiffIdMismatch),
    "digest": (promised(digest=sha256(b"lie")), DigestMismatch),
    "size": (promised(size=10), SizeMismatch),
    "larger": (promised(size=1 << 40), SizeMismatch),
    "output": ({"limits": {"output_bytes": 100_000}}, LimitExceeded),
    "entries": ({"limits": {"entries": 3}}, LimitExceeded),
    "recipe": ({"recipe": {**spec_of("gzip")["recipe"], "version": 99}}, UnknownRecipe),
}


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize(("changes", "error"), REFUSED.values(), ids=REFUSED)
def test_j06_a_layer_that_is_not_what_was_promised_is_refused(
    changes, error, threads, engine, source, target
):
    path = source(LAYERS["gzip"].blob)
    pids = engine.pids
    with nothing_left(), pytest.raises(error):
        payload_of(engine, Piece(path, target, spec_of("zstd", **{"threads": threads, **changes})))
    assert engine.pids == pids
    payload_of(engine, Piece(path, target, spec_of("zstd", threads=threads)))


def test_the_table_of_a_layer_that_is_refused_at_its_end_is_closed(engine, source, target):
    spec = spec_of("gzip", table=True, diff_id=sha256(b"lie"))
    with nothing_left():
        for _ in range(5):
            with pytest.raises(DiffIdMismatch):
                payload_of(engine, Piece(source(LAYERS["gzip"].blob), target, spec))


def test_a_lie_about_the_diff_id_names_both(engine, source, target):
    layer = LAYERS["zstd"]
    piece = Piece(source(layer.blob), target, spec_of("gzip", diff_id=sha256(b"lie")))
    with pytest.raises(DiffIdMismatch) as caught:
        payload_of(engine, piece)
    assert (caught.value.expected, caught.value.actual) == (sha256(b"lie"), layer.diff_id)


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("part", [0.001, 0.5, 0.98])
@pytest.mark.parametrize("codec", CODECS)
def test_a_layer_that_ends_early_is_refused(codec, part, threads, engine, source, target):
    blob = LAYERS[codec].blob
    path = source(blob[: int(len(blob) * part)])
    with nothing_left(), pytest.raises((TarError, CompressedDataError)):
        payload_of(engine, Piece(path, target, spec_of("gzip", threads=threads)))


@pytest.mark.parametrize("seed", range(6))
def test_damaged_layers_fail_alone_and_the_others_are_finished(seed, engine, source, tmp_path):
    rng = random.Random(seed)
    pieces, sound = [], []
    for number in range(8):
        codec = rng.choice(CODECS)
        blob = bytearray(LAYERS[codec].blob)
        sound.append(rng.random() < 0.5)
        if not sound[-1]:
            at = 512 * rng.randrange(2) + rng.randrange(200) if codec == "plain" else len(blob) // 3
            blob[at : at + 50] = rng.randbytes(50)
        spec = spec_of(
            rng.choice(RECIPES), threads=rng.choice([0, 1, 3]), diff_id=LAYERS[codec].diff_id
        )
        pieces.append(Piece(source(bytes(blob), f"in{number}"), str(tmp_path / f"o{number}"), spec))
    with nothing_left():
        found = [outcome.error for outcome in run(engine, *pieces)]
    assert [error is None for error in found] == sound
    assert all(isinstance(error, OcifastError) for error in found if error)


# ---- the output fails ----


@pytest.mark.parametrize("how", [None, *RECIPES])
@pytest.mark.parametrize("threads", [0, 2])
def test_a_full_disk_is_an_error_of_its_own_kind(how, threads, engine, source, tmp_path):
    path, other = source(LAYERS["gzip"].blob), str(tmp_path / "other")
    spec = spec_of(how, threads=threads)
    with nothing_left():
        failed, fine = run(engine, Piece(path, "/dev/full", spec), Piece(path, other, spec))
        assert isinstance(failed.error, OSError)
        assert failed.error.errno == errno.ENOSPC
        del failed
    assert fine.error is None
    assert UNPACK[how](read(other)) == (LAYERS["gzip"].blob if how is None else PLAIN)


def test_an_output_that_is_not_open_for_writing_is_an_error(engine, source):
    piece = Piece(source(LAYERS["plain"].blob), None, spec_of("gzip"))

    class Wrong(Piece):
        def open(self):
            return piece.open(), os.open("/dev/null", os.O_RDONLY)

    with nothing_left(), pytest.raises(OSError, match="Bad file descriptor"):
        payload_of(engine, Wrong(*piece))


# ---- what is left behind ----


def held(pid):
    return set(os.listdir(f"/proc/{pid}/fd"))


def test_workers_hold_no_descriptor_or_thread_of_a_layer_that_is_done(source, tmp_path):
    good, bad = source(LAYERS["gzip"].blob), source(b"not a layer" * 1000, "bad")
    with nothing_left(), Engine(2, start="fork") as engine:
        payload_of(engine, Piece(good, str(tmp_path / "first"), spec_of("gzip")))
        before = {pid: held(pid) for pid in engine.pids}
        pieces = [
            Piece(path, target or str(tmp_path / f"o{number}"), spec_of(how, threads=2, **changes))
            for number, (path, target, how, changes) in enumerate(
                [
                    (good, None, "gzip", {}),
                    (bad, None, "zstd", {}),
                    (good, "/dev/full", "zstd", {}),
                    (good, None, None, {}),
                    (good, None, "gzip", {"diff_id": sha256(b"lie")}),
                    (good, None, "gzip", REFUSED["recipe"][0]),
                    (good, None, "gzip", {"expected": {"size": 1}}),
                ]
                * 6
            )
        ]
        fine = [outcome.error is None for outcome in run(engine, *pieces)]
        assert fine == [True, False, False, True, False, False, False] * 6
        for pid in engine.pids:
            assert wait_until(lambda: held(pid) == before[pid])  # noqa: B023
            # its own thread, and the one that watches the engine; the kernel reaps a little later
            assert wait_until(lambda: len(os.listdir(f"/proc/{pid}/task")) == 2)  # noqa: B023


def test_a_recipe_that_cannot_be_opened_costs_no_lane_of_the_arena(source, tmp_path):
    """There are some hundred; one lost with each failure would end a long run."""
    path = source(LAYERS["gzip"].blob)
    with Engine(1, start="fork") as engine:
        bad = [Piece(path, str(tmp_path / "o"), spec_of(**REFUSED["recipe"][0]))] * 300
        assert all(isinstance(o.error, UnknownRecipe) for o in run(engine, *bad))
        payload_of(engine, Piece(path, str(tmp_path / "o"), spec_of("gzip")))


@pytest.mark.parametrize("threads", [0, 2])
def test_a_worker_killed_in_the_middle_is_an_error_and_leaves_nothing(threads, source, tmp_path):
    plain = random.Random(1).randbytes(1 << 20)
    tar = make_tar(2, 60, 800_000) + plain
    path = source(tar)
    with nothing_left(), Engine(2, start="fork") as engine:
        specs = [spec_of("gzip", level=12, threads=threads)] * 2
        pieces = [Piece(path, str(tmp_path / f"o{n}"), spec) for n, spec in enumerate(specs)]

        def listen(index, done, written):
            if engine.pids:
                os.kill(engine.pids[0], signal.SIGKILL)

        with pytest.raises(WorkerCrashed):
            run(engine, *pieces, listen=listen)
        assert engine.pids == []
        payload_of(engine, Piece(path, str(tmp_path / "again"), spec_of("none")))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_that_is_left_early_leaves_nothing(workers, source, tmp_path):
    path = source(LAYERS["gzip"].blob)
    with nothing_left(), Engine(workers, start="fork") as engine:
        pieces = [
            Piece(path, str(tmp_path / f"o{n}"), spec_of("gzip", threads=2)) for n in range(9)
        ]
        outcomes = engine.run(jobs_of(pieces))
        assert next(outcomes).error is None
        outcomes.close()


# ---- waiting for threads ----


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("how", ["gzip", "zstd"])
def test_no_event_is_missed_so_small_layers_wait_for_nothing(
    workers, how, source, tmp_path, monkeypatch
):
    """With the safety net of half a second gone, a missed bell would take minutes."""
    monkeypatch.setattr(inline, "IDLE_MS", 100_000)
    monkeypatch.setattr(worker, "IDLE_MS", 100_000)
    path = source(make_layer("gzip", 5, 20, 30_000).blob)
    pieces = [Piece(path, str(tmp_path / f"o{n}"), spec_of(how, threads=2)) for n in range(40)]
    with nothing_left(), Engine(workers, start="fork") as engine:
        began = time.monotonic()
        assert all(outcome.error is None for outcome in run(engine, *pieces))
        assert time.monotonic() - began < 90
    assert len({read(piece.target) for piece in pieces}) == 1


def test_limits_cap_what_comes_out_of_a_bomb_before_it_is_compressed(engine, source, target):
    bomb = squeeze(make_tar(1, 1)[:-10240] + bytes(70 << 20), "gzip")
    limits = {"ratio": 100, "ratio_grace_bytes": 1 << 20}
    with nothing_left(), pytest.raises(LimitExceeded):
        payload_of(engine, Piece(source(bomb), target, spec_of("gzip", threads=1, limits=limits)))
    assert os.path.getsize(target) < 1 << 20
