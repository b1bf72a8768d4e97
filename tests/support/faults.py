"""Conversions that are hit by faults: what is converted, how it is hit, what must hold afterwards.

A fault is put before the Nth call that changes a file system, in a fork of the test's process, so
that every N there is can be tried. Invariant: what a sound conversion gives is the standard, byte
for byte; no file of a destination is passed over.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import stat
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ocifast import convert
from ocifast.ops.verify import verify
from support.images import Sample, docker_files, make_sample, write_tar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ocifast.ops.conversion import ConvertReport

SYNCS = ["fdatasync", "fsync"]
CHANGING = ["open", "write", "copy_file_range", "link", "rename", *SYNCS]
REMOVING = ["unlink", "mkdir", "rmdir"]
CREATES = os.O_CREAT | os.O_TMPFILE & ~os.O_DIRECTORY
FAILED, DEFECT = 100, 101


@dataclass(frozen=True)
class Case:
    """A conversion; `outputs` are what `verify` takes, below the folder of the destination."""

    sources: tuple[str, ...]
    dest: str
    outputs: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    existing: bool = False
    """Whether there is something already that is replaced."""


BOTH = ("a.tar", "b.tar")
CASES = {
    "oci": Case(BOTH, "oci:out/images", ("oci:out/images",)),
    "oci-archive": Case(BOTH, "oci-archive:out/images.tar", ("oci-archive:out/images.tar",)),
    "docker-archive": Case(
        BOTH, "docker-archive:out/all.tar", ("docker-archive:out/all.tar",), {"compress": "gzip"}
    ),
    "dir": Case(("a.tar",), "dir:out/image", ("dir:out/image",), {"compress": "zstd"}),
    "each": Case(
        BOTH, "oci-archive:out", ("oci-archive:out/a.tar", "oci-archive:out/b.tar"), {"each": True}
    ),
    "overwrite": Case(
        BOTH,
        "oci-archive:out/images.tar",
        ("oci-archive:out/images.tar",),
        {"overwrite": True},
        existing=True,
    ),
    "overwrite-dir": Case(
        ("a.tar",), "dir:out/image", ("dir:out/image",), {"overwrite": True}, existing=True
    ),
}


def write_sources(folder: Path, files: int = 3) -> None:
    """Two archives of two images, which share a layer, and one that stands for what was before."""
    first, second = make_sample(1, names=("example.com/a:1",)), make_sample(2)
    shared = Sample((first.layers[0], second.layers[1]), ("example.com/b:1",))
    for name, sample in {"a": first, "b": shared, "old": make_sample(3)}.items():
        write_tar(folder / f"{name}.tar", docker_files(sample))


class Stage:
    """A folder with sources, and a fresh one for each time a case is played."""

    def __init__(self, sources: Path, folder: Path, case: Case) -> None:
        self.case = case
        self._sources = sources
        self._folder = folder
        self._number = 0
        self.fresh()
        assert self.convert().ok
        self.truth = contents(self.root)

    def fresh(self) -> None:
        """Begin anew in an empty folder."""
        self._number += 1
        self.root = self._folder / str(self._number)
        (self.root / "out").mkdir(parents=True)
        if self.case.existing:
            convert(str(self._sources / "old.tar"), self._dest, workers=0)
        self.before = contents(self.root)

    @property
    def _dest(self) -> str:
        transport, _, path = self.case.dest.partition(":")
        return f"{transport}:{self.root}/{path}"

    def convert(self) -> ConvertReport:
        """Play the case."""
        sources = [str(self._sources / name) for name in self.case.sources]
        return convert(sources, self._dest, workers=0, **self.case.options)

    def hit(self, number: int, fault: Callable[[], object], calls: list[str]) -> int:
        """Play the case in a fork with a fault before a call; its exit status."""
        pid = os.fork()
        if pid:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        status = DEFECT
        try:
            arm(number, fault, calls)
            status = 0 if self.convert().ok else DEFECT
        except OSError:
            status = FAILED
        except BaseException:  # noqa: BLE001 - nothing may reach the test's own frames
            traceback.print_exc()
        finally:
            os._exit(status)

    def check_no_lie(self) -> None:
        """Whatever has a final name is complete."""
        for reference in self.case.outputs:
            transport, _, path = reference.partition(":")
            full = self.root / path
            if (full / "oci-layout").exists() if transport == "oci" else full.exists():
                result = verify(f"{transport}:{full}", workers=0)
                assert result.ok, result.problems
        for name, digest in contents(self.root, hidden=True).items():
            folder, _, base = name.rpartition("/")
            if folder.endswith("blobs/sha256"):
                assert base == digest, name

    def check_nothing_hidden(self) -> None:
        """What is left besides outputs is the folder beside, of a journal and sound blobs."""
        for name in contents(self.root, hidden=True):
            assert "/.ocifast-" not in name, name

    def check_resumes(self) -> None:
        """The same command again does what is left, and leaves what it does undisturbed."""
        done = self.facts()
        try:
            report = self.convert()
        except FileExistsError:  # it had come to its end: only the empty folder beside was left
            assert not list(self.root.glob("out/**/journal"))
            assert contents(self.root) == self.truth
            return
        assert report.ok
        self.check_finished()
        for layer in report.layers:
            assert layer.how == "shared" or (layer.how == "resumed") == (layer.diff_id in done)

    def check_finished(self) -> None:
        found = contents(self.root, hidden=True)
        assert {n: d for n, d in found.items() if self.truth.get(n) != d} == {}
        assert found.keys() == self.truth.keys()

    def facts(self) -> set[str]:
        """The layers that the journals speak of."""
        found = set()
        for journal in self.root.glob("out/**/journal"):
            found |= facts_of(journal)
        return found

    @property
    def journal_is_gone(self) -> bool:
        return not any("ocifast" in name for name in contents(self.root, hidden=True))


def facts_of(journal: Path) -> set[str]:
    found = set()
    for line in journal.read_text().splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if "layer" in value and value["layer"]["recipe"] != "kept":
            found.add(value["layer"]["diff_id"])
    return found


def contents(root: Path, *, hidden: bool = False) -> dict[str, str]:
    """Digests of all files below a folder, and the folders, by path."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if not hidden and ".ocifast" in name:
            continue
        is_file = stat.S_ISREG(path.lstat().st_mode)
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if is_file else "folder"
    return found


def arm(number: int, fault: Callable[[], object], calls: list[str]) -> None:
    """Let the Nth of these calls of this process run into a fault."""
    left = [number]

    def wrap(real: Callable[..., Any], *, is_open: bool) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if not is_open or arguments[1] & CREATES:
                left[0] -= 1
                if left[0] == 0:
                    fault()
            return real(*arguments, **options)

        return call

    for name in calls:
        setattr(os, name, wrap(getattr(os, name), is_open=name == "open"))


def kill() -> None:
    """End this process as a power cut does."""
    os.kill(os.getpid(), signal.SIGKILL)


def fail(number: int) -> Callable[[], object]:
    """Let a call fail with this errno."""

    def fault() -> None:
        raise OSError(number, os.strerror(number))

    return fault
