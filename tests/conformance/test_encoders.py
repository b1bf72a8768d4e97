"""Every recipe against the `Encoder` protocol: bytes depend on the input, on nothing else."""

import gzip
import itertools
import os
import subprocess
import sys
import threading
import zlib

import pytest
from codec_kit import decode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.encoding import drive, encode, noise, pieces, tar_like, text
from support.processes import wait_until

from ocifast.codecs import block_encoder, open_decoder, sniff, zstd_encoder
from ocifast.codecs.block_encoder import BlockEncoder
from ocifast.codecs.recipe import RECIPES, open_encoder, recipe
from ocifast.errors import KernelUnavailable, StateError

MIB = 1 << 20
THREADS = (0, 1, 2, 4)
COMPRESSING = [scheme for scheme in RECIPES if scheme.level is not None]
LAYER = tar_like("layer", 3 * MIB + 12_345)
INPUTS = {
    "empty": b"",
    "one-byte": b"x",
    "one-block": text("block", MIB),
    "one-more": text("block", MIB + 1),
    "two-blocks": text("block", 2 * MIB),
    "noise": noise("noise", MIB + 77),
    "zeros": bytes(2 * MIB + 5),
    "layer": LAYER,
}


def encoder_threads():
    return [each for each in threading.enumerate() if each.name == "ocifast-encoder"]


def kernel_threads() -> int:
    """Threads of this process, those of C libraries among them."""
    return len(os.listdir("/proc/self/task"))


@pytest.fixture(params=RECIPES, ids=lambda scheme: scheme.name)
def chosen(request):
    """The default level of each recipe."""
    return recipe(request.param.codec, name=request.param.name)


@pytest.fixture(autouse=True)
def nothing_runs_on():
    yield
    assert not encoder_threads()


@pytest.mark.parametrize("name", INPUTS)
def test_output_is_the_same_for_any_number_of_threads_and_is_read_back(chosen, name):
    plain = INPUTS[name]
    blob = encode(chosen, pieces(plain))
    for threads in THREADS[1:]:
        assert encode(chosen, pieces(plain), threads) == blob
    if chosen.codec != "identity":
        assert sniff(blob) == chosen.codec
    decoder = open_decoder(chosen.codec, profile="strict")
    assert decode(decoder, blob) == plain
    assert decoder.findings == []


@pytest.mark.parametrize("scheme", COMPRESSING, ids=lambda scheme: scheme.name)
def test_output_is_the_same_across_the_borders_of_jobs(scheme):
    chosen = recipe(scheme.codec, name=scheme.name)
    plain = tar_like("jobs", 2 * (chosen.job_size or MIB) + MIB + 1)
    blob = encode(chosen, pieces(plain), 4)
    assert encode(chosen, pieces(plain, 999_983), 0) == blob
    assert encode(chosen, pieces(plain, 70_001), 1) == blob
    assert decode(open_decoder(chosen.codec), blob) == plain


@given(cuts=st.lists(st.integers(0, len(LAYER)), max_size=12), threads=st.sampled_from(THREADS))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_output_is_the_same_for_any_cut(chosen, cuts, threads):
    borders = sorted({0, len(LAYER), *cuts, *range(0, len(LAYER), MIB)})
    cut = [LAYER[a:b] for a, b in itertools.pairwise(borders)]
    cut[1:1] = [b""]
    assert encode(chosen, cut, threads) == reference(chosen)


REFERENCES: dict = {}


def reference(chosen):
    if chosen not in REFERENCES:
        REFERENCES[chosen] = encode(chosen, pieces(LAYER))
    return REFERENCES[chosen]


@pytest.mark.parametrize("scheme", COMPRESSING, ids=lambda scheme: scheme.name)
def test_every_level_is_read_back_and_the_highest_beats_the_lowest(scheme):
    plain, sizes = tar_like("levels", MIB + 4321), []
    for level in scheme.levels:
        blob = encode(recipe(scheme.codec, level=level, name=scheme.name), pieces(plain), 2)
        assert decode(open_decoder(scheme.codec), blob) == plain
        sizes.append(len(blob))
    assert sizes[-1] < sizes[0]


def test_gzip_is_a_member_for_each_block_with_a_constant_header():
    chosen = recipe("gzip")
    blob = encode(chosen, pieces(LAYER), 2)
    plain, members = b"", 0
    while blob:
        assert blob[:8] == bytes.fromhex("1f8b080000000000"), "no flags, no time"
        assert blob[9] == 255, "of no system"
        inflater = zlib.decompressobj(31)
        part = inflater.decompress(blob)
        assert len(part) == min(chosen.block_size, len(LAYER) - len(plain))
        plain, blob, members = plain + part, inflater.unused_data, members + 1
    assert plain == LAYER
    assert members == -(-len(LAYER) // chosen.block_size)
    assert gzip.decompress(encode(chosen, pieces(LAYER))) == LAYER


def test_gzip_level_2_takes_level_1_for_two_blocks_of_five():
    plain = tar_like("in turn", 6 * MIB + 12_345)
    parts = [plain[start : start + MIB] for start in range(0, len(plain), MIB)]
    levels = (3, 1, 3, 1, 3, 3, 1)
    expected = [encode(recipe("gzip", level=n), [p]) for n, p in zip(levels, parts, strict=True)]
    assert encode(recipe("gzip", level=2), pieces(plain), 2) == b"".join(expected)


def test_no_input_is_one_empty_member_or_frame():
    assert gzip.decompress(encode(recipe("gzip"), [])) == b""
    assert len(encode(recipe("gzip"), [b"", b""])) <= 25
    assert len(encode(recipe("zstd"), [])) <= 13
    assert encode(recipe("none"), []) == b""


@pytest.mark.parametrize(
    ("codec", "tool"),
    [
        ("gzip", "gzip"),
        ("gzip", "igzip"),
        ("gzip", "pigz"),
        ("zstd", "zstd"),
    ],
)
def test_the_tools_of_others_read_it(oracle, tmp_path, codec, tool):
    command = [oracle(tool), "-d", "-c"]
    for name in ("empty", "one-byte", "two-blocks", "noise", "layer"):
        path = tmp_path / f"blob.{ {'gzip': 'gz', 'zstd': 'zst'}[codec] }"
        path.write_bytes(encode(recipe(codec), pieces(INPUTS[name]), 2))
        done = subprocess.run([*command, path], check=True, capture_output=True)
        assert done.stdout == INPUTS[name]
        subprocess.run([oracle(tool), "-t", path], check=True, capture_output=True)


def test_both_bindings_of_libzstd_give_the_same_bytes():
    plain, found = LAYER, set()
    chosen = recipe("zstd")
    for backend in zstd_encoder.BACKENDS:
        try:
            _, version = zstd_encoder.zstd_library(backend)
        except KernelUnavailable:
            continue
        rung = threading.Event()
        for threads in (0, 2):
            parameters = zstd_encoder.parameters_of(
                chosen.level, chosen.window_size, chosen.job_size
            )
            encoder = zstd_encoder.open_zstd_encoder(parameters, threads, rung.set, backend)
            found.add((version, drive(encoder, pieces(plain), rung)))
            encoder.close()
    assert len(found) == len({version for version, _ in found})


def test_zstd_states_a_checksum_and_a_window_every_engine_takes():
    from ocifast._native.zstd_frame import FrameWalker

    blob = encode(recipe("zstd"), pieces(tar_like("window", 20 * MIB)), 2)
    walker, at = FrameWalker(16 * MIB, 0, 1), 0
    while at < len(blob):
        at += walker.walk(blob, at)
    assert walker.frames == 1
    assert blob[4] & 4, "the checksum flag"


class Slow:
    """A squeeze that waits until it may go on, so that a test decides what is done when."""

    def __init__(self) -> None:
        self.allowed = threading.Semaphore(0)
        self.began = threading.Semaphore(0)

    def __call__(self, block, number, is_last):
        self.began.release()
        assert self.allowed.acquire(timeout=60)
        return bytes(block[:1]) or b"-"


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_it_is_full_when_its_threads_have_work_and_two_blocks_wait(threads):
    slow, rung = Slow(), threading.Event()
    encoder = BlockEncoder(slow, 10, threads, rung.set)
    fed = 0
    while not encoder.full:
        encoder.feed(bytes([fed]) * 10)
        fed += 1
    assert fed == threads + block_encoder.SPARE_BLOCKS + 1, "and one is being filled"
    with pytest.raises(StateError, match="full"):
        encoder.feed(b"x")
    slow.allowed.release(fed)
    assert drive(encoder, (), rung) == bytes(range(fed))
    encoder.close()


def test_it_stays_full_until_output_is_taken():
    encoder = BlockEncoder(lambda block, _number, _last: bytes(block), 4, 0, None)
    while not encoder.full:
        encoder.feed(b"abcd")
    assert encoder.full
    assert encoder.take() == b"abcd"
    assert not encoder.full
    encoder.close()


def test_output_comes_in_order_however_late_a_block_is_done():
    first, rung = threading.Event(), threading.Event()

    def squeeze(block, _number, _last):
        if block[0] == 0:
            assert first.wait(60)
        return bytes(block)

    encoder = BlockEncoder(squeeze, 1, 2, rung.set)
    encoder.feed(b"\0\1\2")
    encoder.finish()
    assert encoder.take() is None
    first.set()
    output = bytearray()
    while not encoder.done:
        rung.clear()
        piece = encoder.take()
        output += piece or b""
        if piece is None and not encoder.done:
            assert rung.wait(60)
    assert output == b"\0\1\2"
    encoder.close()


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("error", [MemoryError("none left"), RuntimeError("a bug")])
def test_a_failure_in_a_thread_is_told_by_take_and_rings(threads, error):
    rung = threading.Event()

    def squeeze(block, _number, _last):
        if block[0] == 2:
            raise error
        return bytes(block)

    encoder = BlockEncoder(squeeze, 1, threads, rung.set)
    encoder.feed(b"\0\1\2\3")
    assert threads == 0 or rung.wait(60)
    assert wait_until(lambda: encoder.full)
    for _ in range(2):
        with pytest.raises(type(error), match=str(error)):
            encoder.take()
    with pytest.raises(StateError):
        encoder.feed(b"\4")
    assert not encoder.done
    encoder.close()
    assert not encoder.done


@pytest.mark.parametrize("threads", THREADS[1:])
def test_a_failure_between_a_look_for_output_and_one_for_room_rings(threads):
    may_fail, rung = threading.Event(), threading.Event()

    def squeeze(block, _number, _last):
        assert may_fail.wait(60)
        raise MemoryError("none left")

    encoder = BlockEncoder(squeeze, 1, threads, rung.set)
    encoder.feed(b"\0\1")  # one block is handed over: far from full
    assert encoder.take() is None
    may_fail.set()
    assert wait_until(lambda: encoder._error is not None)
    assert encoder.full, "so that whoever feeds it waits"
    assert rung.wait(60), "nobody rang"
    with pytest.raises(MemoryError):
        encoder.take()
    encoder.close()


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("fed", [0, 1, 2, 3, 12])
@pytest.mark.parametrize("finished", [False, True], ids=["open", "finished"])
def test_closing_at_any_time_leaves_no_thread_and_no_memory_of_the_codec(
    chosen, threads, fed, finished
):
    before = kernel_threads()
    encoder = open_encoder(chosen, threads, lambda: None)
    for piece in list(pieces(LAYER))[:fed]:
        if not encoder.full:
            encoder.feed(piece)
    if finished:
        encoder.finish()
    for _ in range(2):
        encoder.close()
        assert not encoder_threads()
        assert wait_until(lambda: kernel_threads() <= before)
        assert encoder.take() is None
    for call in (lambda: encoder.feed(b"x"), encoder.finish):
        with pytest.raises(StateError, match=r"finished|closed"):
            call()


def test_nobody_is_rung_after_closing(chosen):
    rings = []
    encoder = open_encoder(chosen, 2, lambda: rings.append(1))
    for piece in pieces(LAYER):
        if not encoder.full:
            encoder.feed(piece)
    encoder.close()
    count = len(rings)
    assert not wait_until(lambda: len(rings) > count, 0.05)


def test_a_closed_encoder_that_was_not_done_never_says_it_is(chosen):
    for finish in (False, True):
        encoder = open_encoder(chosen, 0)
        encoder.feed(b"abc")
        if finish:
            encoder.finish()
        encoder.close()
        assert not encoder.done


def test_without_threads_to_be_had_the_caller_does_the_work(chosen, monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    expected = reference(chosen)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert encode(chosen, pieces(LAYER), 4) == expected


def test_feeding_after_the_end_is_a_state_error(chosen):
    encoder = open_encoder(chosen, 0)
    encoder.finish()
    for call in (lambda: encoder.feed(b"x"), encoder.finish):
        with pytest.raises(StateError, match="finished"):
            call()
    encoder.close()


def test_a_fed_buffer_may_be_changed_at_once(chosen):
    rung, buffer = threading.Event(), bytearray(len(LAYER) // 7)
    encoder = open_encoder(chosen, 2, rung.set)

    def reused():
        for piece in pieces(LAYER, len(buffer)):
            buffer[: len(piece)] = piece
            yield memoryview(buffer)[: len(piece)]
            buffer[:] = bytes(len(buffer))

    assert drive(encoder, reused(), rung) == reference(chosen)
    encoder.close()
    buffer.clear()  # BufferError while somebody still holds it


MEASURE = """
import resource, sys, threading
from support.encoding import noise, drive
from ocifast.codecs.recipe import open_encoder, recipe
chosen, threads = recipe(sys.argv[1]), int(sys.argv[2])
page, total = noise("page", 1 << 20), 0
def fed():
    for number in range(160):
        yield memoryview(number.to_bytes(4, "big") + page)[: 1 << 20]
def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
rung = threading.Event()
drive(open_encoder(chosen, 0), [], rung)
before = peak()
encoder = open_encoder(chosen, threads, rung.set)
waiting, finished = fed(), False
while not encoder.done:
    rung.clear()
    if encoder.take() is not None:
        continue
    if not finished and not encoder.full:
        piece = next(waiting, None)
        finished = piece is None
        encoder.finish() if finished else encoder.feed(piece)
    else:
        rung.wait(60)
encoder.close()
print(peak() - before)
"""


@pytest.mark.figures
@pytest.mark.parametrize(("codec", "most_mib"), [("gzip", 24), ("zstd", 144)])
def test_memory_is_bounded_whatever_the_input(codec, most_mib):
    command = [sys.executable, "-P", "-c", MEASURE, codec, "2"]
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    environment = {**os.environ, "PYTHONPATH": tests}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    assert int(done.stdout) >> 10 < most_mib
