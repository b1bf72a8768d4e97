"""The one pass over a layer that is unpacked: `HashPass`, and contents of files go to disk.

A task of the engine. Each piece of tar is parsed, hashed, and what is in it of files is written to
homes in a private folder, with the metadata of their rows (`_native.tar_files`). Invariant: of the
tar's paths the last names are used and nothing else; what is done with the files is decided when
the layer is proven.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from ocifast._native.tar_files import FileCutter, FileWriter
from ocifast._native.tree_meta import Metadata
from ocifast.errors import TreeError
from ocifast.formats.tar import EntryTable
from ocifast.layer import Finding
from ocifast.ops.file_sink import FileSink
from ocifast.ops.hash_pass import HashPass

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ocifast._native.arena import Arena
    from ocifast.ops.source import Reader

__all__ = ["HOMES", "TREE", "UnpackPass", "losses", "metadata_of", "process_umask"]

TREE: Final = "tree"
"""Where a finding is whose offset is the number of a row."""

HOMES: Final = "homes"
"""The file that says in which home each file is, beside the homes."""

LOSSES: Final = (
    ("xattr-unsupported", "xattrs that the file system does not have"),
    ("xattr-denied", "xattrs that only a privileged process may set"),
    ("xattr-label", "security labels, which are another machine's"),
    ("owner-lost", "owners that could not be recorded"),
)


class UnpackPass(HashPass):
    """Verify one layer and write its files; `source` is (what to read, the folder of files).

    Besides what `HashPass` takes, the spec has ``metadata``, ``threaded``, and ``path``: what the
    tree will be called, for errors. Both descriptors are closed here.
    """

    def __init__(
        self, spec: Mapping[str, Any], source: tuple[int | Reader, int], arena: Arena
    ) -> None:
        reader, self._folder = source
        self._path: str = spec["path"]
        self._sink: FileSink | None = None
        try:
            super().__init__(spec, reader, arena)
        except BaseException:
            self._close()
            raise
        self._metadata = metadata_of(spec["metadata"])
        self._cutter = FileCutter(self._tar)
        self._writer = FileWriter(self._folder, self._metadata)
        self._sink = FileSink(self._writer, arena, threaded=spec["threaded"])

    @property
    def waiting(self) -> bool:
        """Whether the thread is at work; it rings the arena's bell."""
        return self._sink is not None and not self._sink.idle

    def step(self) -> bool:
        """Fill one slot, unless too much waits to be written."""
        assert self._sink is not None
        if self._sink.error is not None:
            raise self._named(self._sink.error)
        return not self._sink.full and super().step()

    def _take_tar(self, slot: int, tar: memoryview) -> None:
        super()._take_tar(slot, tar)
        parts = self._cutter.cut(len(tar))
        if parts:
            assert self._sink is not None
            try:
                self._sink.put(parts, slot, tar)
            except (TreeError, OSError) as error:
                raise self._named(error) from None

    def finished(self) -> bool:
        """Whether everything is read, hashed and written."""
        assert self._sink is not None
        return super().finished() and self._sink.idle and self._sink.error is None

    def _named(self, error: BaseException) -> BaseException:
        """Call a file by the path its layer has for it, where only its number was known."""
        name = error.args[0] if isinstance(error, TreeError) else getattr(error, "filename", None)
        if not isinstance(name, str) or not name.startswith("#"):
            return error
        path = os.fsdecode(EntryTable(*self._tar.take_table())[int(name[1:])].path)
        if isinstance(error, TreeError):
            return TreeError(path, *error.args[1:])
        assert isinstance(error, OSError)
        error.filename = os.path.join(self._path, path)
        return error

    def _found(self) -> tuple[list[Finding], int]:
        findings, total = super()._found()
        lost = list(losses(self._metadata))
        return [*lost, *findings], total + len(lost)

    def result(self) -> tuple[dict[str, Any], list[int]]:
        """Give the report on what was read; its table says what the files are."""
        try:
            with open(HOMES, "xb", opener=self._open_beside) as file:
                file.write(self._writer.homes)
        except OSError as error:
            error.filename = self._path
            raise
        self._close()
        return super().result()

    def _open_beside(self, name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self._folder)

    def abandon(self) -> bool:
        """Give everything back; False while a lane is still being hashed by another worker."""
        self._close()
        return super().abandon()

    def _close(self) -> None:
        if self._sink is not None:
            self._sink.close()
        if self._folder >= 0:
            folder, self._folder = self._folder, -1
            os.close(folder)


def metadata_of(spec: Mapping[str, Any]) -> Metadata:
    """Make what sets metadata, in whatever process it is done."""
    return Metadata(
        uids=spec["uid_map"],
        gids=spec["gid_map"],
        rootless=spec["rootless"],
        overlay=spec["overlay"],
        umask=process_umask(),
    )


def process_umask() -> int:
    """Give the umask without changing it, which other threads would notice; 0o777 if unknown."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            lines = [line for line in file if line.startswith("Umask:")]
        return int(lines[0].split()[1], 8)
    except (OSError, LookupError, ValueError):
        return 0o777


def losses(metadata: Metadata) -> Iterator[Finding]:
    """Give what could not be kept, each kind once; the offset is the number of the first row."""
    for (code, text), (count, first) in zip(LOSSES, metadata.lost, strict=True):
        if count:
            yield Finding(code, TREE, first, f"{count} {text}")
