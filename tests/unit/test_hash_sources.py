"""hash_layer() and hash_layers(): every kind of source gives the same report, or says why not."""

import array
import contextlib
import errno
import gc
import io
import mmap
import os
import pathlib
import threading

import pytest
from support.layers import check, make_layer
from support.processes import descriptors

from ocifast import Engine, hash_layer, hash_layers
from ocifast.errors import (
    CompressedDataError,
    OcifastError,
    TarError,
)

CODECS = ["plain", "gzip", "zstd"]
LAYERS = {codec: make_layer(codec, 11, 25, 30_000) for codec in CODECS}
TABLES = {codec: hash_layer(layer.blob).table for codec, layer in LAYERS.items()}


class Raw(io.RawIOBase):
    """Not seekable, gives at most 1000 bytes a time, has no name."""

    def __init__(self, blob):
        self.left = memoryview(blob)

    def readable(self):
        return True

    def readinto(self, out):
        count = min(len(out), 1000, len(self.left))
        out[:count] = self.left[:count]
        self.left = self.left[count:]
        return count


class Bytesy:
    """A path of bytes."""

    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return os.fsencode(self.path)


class Pathy(Bytesy):
    """A path of str."""

    def __fspath__(self):
        return self.path


def odd_pieces(blob):
    sizes = [0, 1, 7, 4096, 300_000, 0, 13, 65_536]
    number = at = 0
    while at < len(blob):
        size = sizes[number % len(sizes)]
        yield blob[at : at + size]
        at, number = at + size, number + 1


def reused_piece(blob):
    """Yields one bytearray again and again, resized each time."""
    piece = bytearray()
    for at in range(0, len(blob), 5000):
        piece[:] = blob[at : at + 5000]
        yield piece


def open_file(path, stack, **options):
    return stack.enter_context(open(path, "rb", **options))


def open_descriptor(path, stack):
    descriptor = os.open(path, os.O_RDONLY)
    stack.callback(os.close, descriptor)
    return descriptor


def open_at_offset(path, stack):
    with open(path, "rb") as file:
        blob = file.read()
    pathlib.Path(path + ".longer").write_bytes(b"not part of the layer" + blob)
    descriptor = open_descriptor(path + ".longer", stack)
    os.lseek(descriptor, 21, os.SEEK_SET)
    return descriptor


def open_mmap(path, stack):
    return stack.enter_context(mmap.mmap(open_descriptor(path, stack), 0, access=mmap.ACCESS_READ))


def make_link(path, stack):
    os.symlink(path, path + ".link")
    return path + ".link"


def make_fifo(path, stack):
    os.mkfifo(path + ".fifo")
    writer = threading.Thread(target=copy_into, args=(path, path + ".fifo"))
    writer.start()
    stack.callback(writer.join)
    return path + ".fifo"


def make_pipe(path, stack, waits=True):
    read, write = os.pipe()
    os.set_blocking(read, waits)
    writer = threading.Thread(target=copy_into, args=(path, write))
    writer.start()
    stack.callback(writer.join)
    stack.callback(os.close, read)
    return read


def copy_into(path, target):
    with open(path, "rb") as source, open(target, "wb") as file:
        file.write(source.read())


ON_DISK = {
    "path": lambda path, stack: path,
    "pathlib": lambda path, stack: pathlib.Path(path),
    "fspath": lambda path, stack: Pathy(path),
    "fspath-bytes": lambda path, stack: Bytesy(path),
    "link": make_link,
    "file": open_file,
    "raw-file": lambda path, stack: open_file(path, stack, buffering=0),
    "descriptor": open_descriptor,
    "descriptor-at-offset": open_at_offset,
    "mmap": open_mmap,
    "fifo": make_fifo,
    "pipe": make_pipe,
    "pipe-that-does-not-wait": lambda path, stack: make_pipe(path, stack, waits=False),
    "file-of-a-pipe": lambda path, stack: open_file(make_pipe(path, stack), stack, closefd=False),
}


@pytest.fixture
def on_disk(tmp_path):
    """A blob as each kind of thing that is a file, or is cleaned up like one."""
    with contextlib.ExitStack() as stack:
        yield lambda kind, blob: ON_DISK[kind](write(tmp_path / f"läyer {len(blob)}", blob), stack)


def write(path, blob):
    path.write_bytes(blob)
    return str(path)


IN_MEMORY = {
    "bytes": bytes,
    "bytearray": bytearray,
    "memoryview": memoryview,
    "array": lambda blob: array.array("B", blob),
    "BytesIO": io.BytesIO,
    "raw-object": Raw,
    "list-of-buffers": lambda blob: list(odd_pieces(blob)),
    "generator": odd_pieces,
    "one-buffer-again": reused_piece,
    "iterator-of-memoryviews": lambda blob: map(memoryview, odd_pieces(blob)),
}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("kind", [*ON_DISK, *IN_MEMORY])
def test_every_kind_of_source_gives_the_same_report(kind, codec, on_disk):
    layer = LAYERS[codec]
    source = IN_MEMORY[kind](layer.blob) if kind in IN_MEMORY else on_disk(kind, layer.blob)
    report = hash_layer(source)
    check(report, layer)
    assert report.table == TABLES[codec]
    assert report.findings == ()


@pytest.mark.parametrize(
    "kind", ["path", "descriptor-at-offset", "fifo", "pipe", "pipe-that-does-not-wait"]
)
def test_sources_with_a_descriptor_are_read_by_workers_too(kind, on_disk, no_job_is_small):
    for codec in CODECS:
        before = descriptors()
        with Engine(2) as engine:
            source = on_disk(kind, LAYERS[codec].blob)
            check(hash_layer(source, engine=engine), LAYERS[codec])
            assert engine.pids
        assert len(descriptors()) <= len(before) + 3  # what on_disk still holds
        if kind == "fifo":
            os.unlink(source)


def test_the_position_of_a_regular_file_does_not_move_and_may_be_shared(on_disk):
    layer = LAYERS["gzip"]
    descriptor = on_disk("descriptor-at-offset", layer.blob)
    for report in hash_layers([descriptor] * 3):
        check(report, layer)
    assert os.lseek(descriptor, 0, os.SEEK_CUR) == 21


def test_names_in_reports_are_the_paths(on_disk):
    blob = LAYERS["plain"].blob
    path = on_disk("path", blob)
    for kind in ("path", "pathlib", "fspath", "fspath-bytes", "file"):
        assert hash_layer(on_disk(kind, blob)).path == path
    descriptor = on_disk("descriptor", blob)
    assert hash_layer(descriptor).path == f"<descriptor {descriptor}>"
    assert hash_layer(blob).path == "<buffer>"
    assert hash_layer(iter([blob])).path == "<stream>"


@pytest.mark.parametrize("at", [3, 5000])
def test_a_buffer_is_the_callers_again_afterwards_without_the_collector(at):
    data = bytearray(LAYERS["gzip"].blob)
    gc.disable()
    try:
        hash_layer(data)
        data.append(0)
        data[at] ^= 0xFF
        with pytest.raises(OcifastError):
            hash_layer(data)
        data.append(0)
    finally:
        gc.enable()


def test_an_uncompressed_layer_has_one_lane(monkeypatch):
    from ocifast.ops.hash_pass import HashPass

    lanes = []
    real = HashPass.result

    def result(task):
        lanes.append(len(task.lanes))
        return real(task)

    monkeypatch.setattr(HashPass, "result", result)
    for codec in CODECS:
        hash_layer(LAYERS[codec].blob)
    assert lanes == [1, 2, 2]


def test_no_table_is_made_when_none_is_wanted():
    report = hash_layer(LAYERS["plain"].blob, table=False)
    assert report.table is None
    check(report, LAYERS["plain"])


def test_no_sources_give_no_reports():
    assert hash_layers([]) == []
    assert hash_layers(iter([]), workers=2, return_exceptions=True) == []


@pytest.mark.parametrize("kind", [None, 5.5, object()])
def test_what_is_no_source_is_a_type_error_before_anything_is_read(kind):
    unread = io.BytesIO(LAYERS["plain"].blob)
    with pytest.raises(TypeError, match="no source of a layer"):
        hash_layers([unread, kind])
    assert unread.tell() == 0


@pytest.mark.parametrize("wrong", [[b"a", "text"], ["text"], [5], [None, b"x"], {1: 2}])
def test_an_iterable_of_something_else_is_a_type_error_with_a_note(wrong):
    with pytest.raises(TypeError) as caught:
        hash_layer(wrong)
    assert caught.value.__notes__ == ["while reading <stream>"]


# ---- sources that fail ----


def test_an_exception_of_a_generator_comes_through_with_a_note():
    def source():
        yield LAYERS["plain"].blob[:5000]
        raise ZeroDivisionError("in the middle")

    with pytest.raises(ZeroDivisionError, match="in the middle") as caught:
        hash_layer(source())
    assert caught.value.__notes__ == ["while reading <stream>"]


def test_an_interrupt_in_a_source_comes_through_untouched():
    def source():
        yield LAYERS["plain"].blob[:5000]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hash_layer(source())


def test_a_file_that_gives_more_than_asked_or_text_is_refused():
    class Greedy:
        def read(self, size):
            return bytes(size + 1)

    with pytest.raises(ValueError, match=r"read\(\d+\) gave \d+ bytes"):
        hash_layer(Greedy())
    with pytest.raises(TypeError):
        hash_layer(io.StringIO("text"))


def test_a_file_that_does_not_wait_is_an_error_not_the_end():
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.write(write, LAYERS["plain"].blob[:1000])
    with open(read, "rb", buffering=0) as file, pytest.raises(BlockingIOError):
        hash_layer(file)
    os.close(write)


@pytest.mark.parametrize("workers", [0, 2])
def test_paths_that_cannot_be_read_are_os_errors_that_name_them(workers, tmp_path):
    missing, folder = str(tmp_path / "missing"), str(tmp_path)
    found = hash_layers([missing, folder, 12345], workers=workers, return_exceptions=True)
    assert [type(error) for error in found] == [FileNotFoundError, IsADirectoryError, OSError]
    assert [error.filename for error in found] == [missing, folder, "12345"]
    assert [error.errno for error in found] == [errno.ENOENT, errno.EISDIR, errno.EBADF]
    for error, name in zip(found, [missing, folder, "12345"], strict=True):
        assert error.__notes__ == [f"while reading {name}"]


def test_a_directory_descriptor_and_one_only_for_writing_are_os_errors(tmp_path):
    folder = os.open(tmp_path, os.O_RDONLY)
    writer = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    try:
        first, second = hash_layers([folder, writer], return_exceptions=True)
        assert isinstance(first, IsADirectoryError)
        assert second.errno == errno.EBADF
    finally:
        os.close(folder)
        os.close(writer)


def test_an_unreadable_file_is_a_permission_error(tmp_path):
    secret, user = write(tmp_path / "secret", b"x"), os.geteuid()
    os.chmod(secret, 0)
    if user == 0:  # who may read everything
        os.seteuid(65534)
    try:
        with pytest.raises(PermissionError) as caught:
            hash_layer(secret)
    finally:
        os.seteuid(user)
    assert caught.value.filename == secret


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_removed_between_looking_and_reading_is_an_os_error(
    workers, tmp_path, no_job_is_small
):
    first, second = (write(tmp_path / name, LAYERS["plain"].blob) for name in "ab")

    class Remover:
        def __fspath__(self):
            os.unlink(first)
            return second

    found = hash_layers([first, Remover()], workers=workers, return_exceptions=True)
    assert isinstance(found[0], FileNotFoundError)
    assert found[0].filename == first
    check(found[1], LAYERS["plain"])


@pytest.mark.parametrize("codec", CODECS)
def test_a_pipe_that_closes_early_is_a_truncated_layer(codec, on_disk):
    blob = LAYERS[codec].blob
    pipe = on_disk("pipe", blob[: len(blob) // 2])
    with pytest.raises((TarError, CompressedDataError), match=r"truncated|ends"):
        hash_layer(pipe, profile="strict")
