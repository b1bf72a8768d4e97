"""The journal of a run: which layers are finished, so that the next run goes on from there.

A file of JSON lines beside the destination; each says that a blob was made of a layer by a recipe,
and stands in the store. Several runs may write to one journal: a line is appended whole, and is a
fact for all of them. Invariant: a line is written after the blob it speaks of is on disk under its
final name; what cannot be read, such as a line cut by a crash, is a fact that is not known.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from ocifast.errors import StoreError
from ocifast.ops.finished_output import FinishedOutput
from ocifast.spec.digest import Digest
from ocifast.transports.pending_file import named, write_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Fact", "Journal"]

JOURNAL_BYTES: Final = 256 << 20
"""How much of it is read; a fact takes half a KiB."""
LINE_BYTES: Final = 1 << 16
SCHEMA: Final = "ocifast.journal/1"


@dataclass(frozen=True, slots=True)
class Fact:
    """A blob made of a layer; `key` is its diff_id, or its digest where that is what counts."""

    key: str
    recipe: str
    digest: str
    size: int
    media_type: str
    diff_id: str
    uncompressed_size: int
    source_digest: str
    source_size: int
    source_diff_id: str
    annotations: dict[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Fact:
        """Read one back. Raises TypeError or ValueError for what is none."""
        fact = cls(**values)
        for name in ("digest", "diff_id", "source_digest", "source_diff_id"):
            Digest.parse(values[name])
        texts = (fact.key, fact.recipe, fact.media_type, *fact.annotations.values())
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("a text is none")
        for size in (fact.size, fact.uncompressed_size, fact.source_size):
            if type(size) is not int or size < 0:
                raise ValueError("a size is none")
        return fact


class Journal:
    """The facts of one destination, as a context manager.

    It is removed when a run ends well, or has nothing to say, and no other run is using it.

    Raises:
        OSError: It cannot be made or written.
        StoreError: What stands at its path is no regular file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with Journal(folder + "/journal") as journal:
        ...         journal.find("sha256:00", "gzip")
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._facts: dict[tuple[str, str], Fact] = {}
        self.outputs: dict[str, FinishedOutput] = {}
        """The files and folders that were finished, by path."""
        self._descriptor = -1

    def __enter__(self) -> Self:
        try:
            self._open()
            for line in self._lines():
                self._learn(line)
        except BaseException:
            self.close(keep=True)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(keep=kind is not None)

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        while self._descriptor < 0:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # another run has removed the folder
                self._descriptor = os.open(self.path, flags, 0o644)
                self._lock()

    def _lock(self) -> None:
        """Hold what was opened as one of the runs that use it, unless it is a journal no more."""
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)  # here, as closing a journal without facts removes it
            raise StoreError(self.path, "", "it is no regular file, as a journal has to be")
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)
        if not self._still_there():
            os.close(self._descriptor)  # another run ended well in between, and removed it
            self._descriptor = -1

    def _still_there(self) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.lstat(self.path), os.fstat(self._descriptor))
        return False

    def _lines(self) -> Iterator[bytes]:
        left = JOURNAL_BYTES
        with open(self._descriptor, "rb", closefd=False) as file:
            file.seek(0)
            while line := file.readline(min(left, LINE_BYTES)):
                left -= len(line)
                yield line

    def _learn(self, line: bytes) -> None:
        try:
            match json.loads(line):
                case {"schema": "ocifast.journal/1", "layer": dict(values)}:
                    fact = Fact.from_json(values)
                    self._facts[fact.key, fact.recipe] = fact
                case {"schema": "ocifast.journal/1", "finished": dict(values)}:
                    finished = FinishedOutput.from_json(values)
                    # Of runs that wrote to one place, the file that is there is one's only.
                    if finished.is_there or finished.output not in self.outputs:
                        self.outputs[finished.output] = finished
        except (ValueError, TypeError, AttributeError, RecursionError):
            pass  # of a crash, or of another version: the work is done again

    def find(self, key: str, recipe: str) -> Fact | None:
        """What is known of a layer made by a recipe."""
        return self._facts.get((key, recipe))

    def add(self, fact: Fact) -> None:
        """State that a blob is there."""
        self._facts[fact.key, fact.recipe] = fact
        self._append({"layer": asdict(fact)})

    def add_output(self, finished: FinishedOutput) -> None:
        """State that a file or folder of the run is finished, and gets its name now."""
        self.outputs[finished.output] = finished
        self._append({"finished": asdict(finished)})

    def _append(self, values: dict[str, Any]) -> None:
        # A line break first: the end of the file may be half a line of a run that was killed.
        line = json.dumps({"schema": SCHEMA, **values})
        with named(self.path):
            write_all(self._descriptor, f"\n{line}\n".encode())
            os.fdatasync(self._descriptor)

    def close(self, *, keep: bool, clear: Callable[[], object] = lambda: None) -> None:
        """Let go of it, and remove it unless it is kept or in use by another run.

        `clear` is called before, while nobody else can begin: who is killed in it has a journal
        still, and the next run calls it again.
        """
        if self._descriptor < 0:
            return
        descriptor, self._descriptor = self._descriptor, -1
        try:
            if not keep or not (self._facts or self.outputs):
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    clear()
                    os.unlink(self.path)
        finally:
            os.close(descriptor)
