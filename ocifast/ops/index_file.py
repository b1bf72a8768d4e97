"""The file of a layer's index: arrays any numpy can open with numpy.load(), and read in place here.

It is a zip of `.npy` members that are stored, not squeezed: ``rows`` (a structured array, the
columns of `ocifast.formats.tar.FIELDS`), ``heap`` (bytes their offsets point into), ``contents``
(SHA-256 of each file, a row each), ``about`` (JSON: the layer's digests and sizes, and XXH3-128 of
the arrays) and ``check`` (XXH3-128 of that, in hex). Invariant: what has been damaged is refused;
who can write the file can claim anything.
"""

from __future__ import annotations

import json
import mmap
import os
import re
import struct
import zipfile
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from ocifast.errors import FormatError
from ocifast.formats.tar import FIELDS, ROW, EntryTable
from ocifast.ops.effective_tree import DIGEST_BYTES
from ocifast.ops.layer_index import LayerIndex
from ocifast.spec.digest import Digest

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["MAGIC", "is_index", "load_index", "save_index"]

SCHEMA: Final = "ocifast.index/1"
MAGIC: Final = b"PK\x03\x04"
EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The same layer gives the same file."""
BYTES: Final = "'|u1'"
_DTYPES: Final = {
    "B": "|u1",
    "H": "<u2",
    "I": "<u4",
    "Q": "<u8",
    "q": "<i8",
}
ROWS: Final = repr([(name, _DTYPES[kind]) for name, kind in FIELDS.items()])
ARRAYS: Final = ("rows", "heap", "contents")
COUNTS: Final = ("size", "uncompressed_size", "entries")
MOST_ABOUT: Final = 1 << 20
DAMAGED: Final = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
)
"""What zipfile, json and struct say of bytes that mean nothing."""
_NPY: Final = b"\x93NUMPY\x01\x00"
_ALIGN: Final = 64
_LOCAL: Final = struct.Struct("<26xHH")
_HEADER: Final = re.compile(
    r"\{'descr': (.+), 'fortran_order': False, 'shape': \((\d+),(?: (\d+))?\), \} *\n"
)
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def is_index(head: bytes) -> bool:
    """Whether a file that begins like this is a saved index; a layer never does.

    Example:
        >>> is_index(b"PK"), is_index(MAGIC + b"more")
        (False, True)
    """
    return head.startswith(MAGIC)


def save_index(index: LayerIndex, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write an index; the file gets its name when it is whole.

    Raises:
        FileExistsError: It is there, and is not to be replaced.
        OSError: It cannot be written.
    """
    from ocifast.transports.pending_file import PendingFile, named  # reading needs none: 30 ms

    folder, base = os.path.split(os.fspath(path))
    with named(os.fspath(path)):
        descriptor = os.open(folder or ".", _FOLDER)
    try:
        pending = PendingFile(descriptor, os.fspath(path))
        try:
            with (
                os.fdopen(os.dup(pending.descriptor), "wb") as file,
                zipfile.ZipFile(file, "w") as archive,
            ):
                _write(archive, index)
            (pending.replace if overwrite else pending.link)(base, descriptor)
        finally:
            pending.close()
    finally:
        os.close(descriptor)


def _write(archive: zipfile.ZipFile, index: LayerIndex) -> None:
    _, rows, heap = index.table.to_buffers()
    count = len(index.table)
    parts = {
        "rows": (_npy(ROWS, f"({count},)"), rows),
        "heap": (_npy(BYTES, f"({heap.nbytes},)"), heap),
        "contents": (_npy(BYTES, f"({count}, {DIGEST_BYTES})"), memoryview(index.contents)),
    }
    sums = {name: _sum(data) for name, (_, data) in parts.items()}
    about = json.dumps({"schema": SCHEMA, **index.to_dict(), "xxh3": sums}).encode()
    for name, text in (("about", about), ("check", _sum(about).encode())):
        _member(archive, name, _npy(BYTES, f"({len(text)},)"), text)
    for name, (header, data) in parts.items():
        _member(archive, name, header, data)


def _npy(dtype: str, shape: str) -> bytes:
    """The head of an .npy member, version 1.0."""
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (-(len(_NPY) + 2 + len(text) + 1) % _ALIGN) + "\n"
    return _NPY + len(text).to_bytes(2, "little") + text.encode()


def _member(archive: zipfile.ZipFile, name: str, header: bytes, data: ReadableBuffer) -> None:
    info = zipfile.ZipInfo(f"{name}.npy", EPOCH)
    with archive.open(info, "w", force_zip64=True) as member:
        member.write(header)
        member.write(data)


def _sum(data: ReadableBuffer) -> str:
    import xxhash  # 2 ms, and not before a file is made or read

    return xxhash.xxh3_128_hexdigest(data)


def load_index(path: str | os.PathLike[str] | int) -> LayerIndex:
    """Read an index in place: the file is mapped, and its arrays are views of it.

    Raises:
        FormatError: It is none, damaged, or of another version.
        OSError: It cannot be read.
    """
    with open(path, "rb", closefd=not isinstance(path, int)) as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            raise FormatError("it is empty, and no index of a layer")
        try:
            places = _places(file)
            memory = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            return _read(memory, places)
        except DAMAGED as error:
            if isinstance(error, FormatError):
                raise
            reason = f"no index of a layer, or damaged: {type(error).__name__}: {error}"
            raise FormatError(reason) from None


def _read(memory: memoryview, places: dict[str, tuple[int, int]]) -> LayerIndex:
    about = _about(_array(memory, places, "about", BYTES), _array(memory, places, "check", BYTES))
    arrays = {
        name: _array(memory, places, name, ROWS if name == "rows" else BYTES) for name in ARRAYS
    }
    for name, data in arrays.items():
        if _sum(data) != about["xxh3"][name]:
            raise FormatError(f"its {name} are damaged: index the layer again")
    table = EntryTable(arrays["rows"], arrays["heap"])
    if arrays["contents"].nbytes != len(table) * DIGEST_BYTES:
        raise FormatError("its parts are not of one layer: index the layer again")
    return LayerIndex(
        path=str(about["path"]),
        media_type=str(about["media_type"]),
        digest=Digest.parse(about["digest"]),
        diff_id=Digest.parse(about["diff_id"]),
        table=table,
        contents=arrays["contents"],
        **{key: int(about[key]) for key in COUNTS},
    )


def _places(file: BinaryIO) -> dict[str, tuple[int, int]]:
    """Where members begin, local headers included, and their sizes; only the end is read."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
    if any(info.compress_type != zipfile.ZIP_STORED for info in members):
        raise FormatError("an index whose arrays are squeezed: ocifast writes them stored")
    return {info.filename: (info.header_offset, info.file_size) for info in members}


def _array(
    memory: memoryview, places: dict[str, tuple[int, int]], name: str, dtype: str
) -> memoryview:
    at, size = places[f"{name}.npy"]
    name_size, extra_size = _LOCAL.unpack_from(memory, at)
    start = at + _LOCAL.size + name_size + extra_size
    member = memory[start : start + size]
    if member.nbytes != size or bytes(member[: len(_NPY)]) != _NPY:
        raise FormatError(f"its {name} is no .npy array, or cut short")
    head = len(_NPY) + 2
    end = head + int.from_bytes(member[len(_NPY) : head], "little")
    found = _HEADER.fullmatch(bytes(member[head:end]).decode("latin-1"))
    if found is None or found[1] != dtype:
        raise FormatError(f"its {name} is not what this version of ocifast writes")
    data = member[end:]
    item = ROW.size if name == "rows" else 1
    if data.nbytes != int(found[2]) * int(found[3] or 1) * item:
        raise FormatError(f"its {name} is cut short")
    return data


def _about(text: memoryview, check: memoryview) -> dict[str, Any]:
    if text.nbytes > MOST_ABOUT or _sum(text).encode() != bytes(check[:MOST_ABOUT]):
        raise FormatError("it is damaged: index the layer again")
    about = json.loads(bytes(text))
    if about.get("schema") != SCHEMA:
        raise FormatError(f"it is {about.get('schema')!r}, not {SCHEMA}: index the layer again")
    return dict(about)
