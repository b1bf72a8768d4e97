"""What this machine and this installation can do, and what stands in the way of speed.

It reads and measures, changes nothing, and prints nothing. Invariant: every problem comes with what
to do about it; only wrong results and dead workers count as broken.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from ocifast._native import sha256_kernel
from ocifast._version import __version__
from ocifast.codecs import CODECS, open_decoder
from ocifast.codecs.recipe import RECIPES, SEEKABLE, recipe
from ocifast.engine import Engine
from ocifast.engine.plan import available_workers, cpu_quota
from ocifast.errors import KernelUnavailable, WorkerError
from ocifast.ops.self_test import SelfTest, run_self_test

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocifast.engine.pool import StartMethod

__all__ = ["Codec", "Examination", "Machine", "Problem", "RecipeRow", "examine"]

FEATURES: Final = (
    *("sha_ni", "ssse3", "sse4_1", "avx2", "bmi2", "pclmulqdq", "avx512f", "vpclmulqdq"),
    *("asimd", "sha2", "pmull", "crc32", "sve"),
)
"""What kernels of ours, ISA-L and libzstd look for, on x86-64 and on AArch64."""

PACKAGES: Final = ("numpy", "rich", "isal", "deflate", "zstandard", "backports.zstd", "xxhash")
SLOW_INFLATE: Final = "zlib"


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it runs."""

    python: str
    implementation: str
    executable: str
    system: str
    architecture: str
    cpu: str
    cpu_features: tuple[str, ...]
    cores: int
    usable_cores: int
    cpu_quota: float | None
    memory_files: bool


@dataclass(frozen=True, slots=True)
class Codec:
    """One codec: the module that does the work (None: there is none), and those that could."""

    name: str
    backend: str | None
    version: str | None
    backends: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecipeRow:
    """One recipe as it is here; `identity` is None where the library for it is missing."""

    name: str
    codec: str
    identity: str | None
    levels: tuple[int, ...]
    default: bool
    """Whether its codec uses it unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is slower than it could be, or broken, and what to do."""

    what: str
    advice: str
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Examination:
    """All that was found; `speeds` is None when the self-test could not run."""

    version: str
    machine: Machine
    packages: dict[str, str | None]
    kernel: str
    kernels: tuple[sha256_kernel.Kernel, ...]
    codecs: tuple[Codec, ...]
    recipes: tuple[RecipeRow, ...]
    workers: int
    start: str
    speeds: SelfTest | None
    problems: tuple[Problem, ...]

    @property
    def is_broken(self) -> bool:
        """Whether results of this installation cannot be trusted, or not be had."""
        return any(problem.broken for problem in self.problems)

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON would have it."""
        return {
            **asdict(self),
            "kernels": [
                {**row._asdict(), "mb_per_s": {str(k): round(v) for k, v in row.mb_per_s.items()}}
                for row in self.kernels
            ],
            "speeds": None if self.speeds is None else self.speeds._asdict(),
        }


def examine(workers: int | None = None, *, start: StartMethod = "exec") -> Examination:
    """Look at everything and run the self-test; takes a second or two.

    Example:
        >>> examine(workers=0).is_broken
        False
    """
    machine = _machine()
    codecs = tuple(_codec(name) for name in CODECS)
    packages = {name: _version(name) for name in PACKAGES}
    problems = [*_slow(machine, codecs)]
    speeds = None
    with Engine(workers, start=start) as engine:
        try:
            speeds = run_self_test(engine)
        except (WorkerError, OSError) as error:
            advice = "see whether processes and memory files are forbidden here; try --workers 0"
            problems.append(Problem(f"the self-test failed: {error}", advice, broken=True))
        count = engine.workers
    advice = "do not use this build; report it with the output of this command"
    problems += [Problem(what, advice, broken=True) for what in (speeds.wrong if speeds else ())]
    return Examination(
        __version__,
        machine,
        packages,
        sha256_kernel.kernel().name,
        sha256_kernel.kernels(),
        codecs,
        tuple(_recipes()),
        count,
        start,
        speeds,
        tuple(problems),
    )


def _recipes() -> Iterator[RecipeRow]:
    seen: set[str] = set()
    for scheme in (*RECIPES, *SEEKABLE):
        try:
            identity = recipe(scheme.codec, name=scheme.name).identity
        except KernelUnavailable:
            identity = None
        default = scheme.codec not in seen
        seen.add(scheme.codec)
        yield RecipeRow(scheme.name, scheme.codec, identity, scheme.levels, default)


def _machine() -> Machine:
    model, flags = _cpu()
    quota = cpu_quota()
    return Machine(
        platform.python_version(),
        platform.python_implementation(),
        sys.executable,
        f"{platform.system()} {platform.release()}",
        platform.machine(),
        model,
        tuple(feature for feature in FEATURES if feature in flags),
        os.cpu_count() or 1,
        len(os.sched_getaffinity(0)),
        None if quota == float("inf") else quota,
        _memory_files(),
    )


def _cpu() -> tuple[str, set[str]]:
    """Name and flags of the first CPU; empty where the kernel does not say."""
    found: dict[str, str] = {}
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                key, _, value = line.partition(":")
                found.setdefault(key.strip(), value.strip())
    except OSError:
        pass
    flags = found.get("flags", found.get("Features", ""))
    return found.get("model name", found.get("CPU part", "unknown")), set(flags.split())


def _memory_files() -> bool:
    try:
        os.close(os.memfd_create("ocifast-doctor", os.MFD_CLOEXEC))
    except OSError:
        return False
    return True


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _codec(name: str) -> Codec:
    backends = CODECS[name].backends
    try:
        backend = open_decoder(name).backend
    except KernelUnavailable:
        return Codec(name, None, None, backends)
    if backend == SLOW_INFLATE:
        import zlib

        return Codec(name, backend, zlib.ZLIB_RUNTIME_VERSION, backends)
    package = backend if backend.startswith("backports.") else backend.partition(".")[0]
    return Codec(name, backend, _version(package), backends)


def _slow(machine: Machine, codecs: tuple[Codec, ...]) -> Iterator[Problem]:
    """Find what costs speed."""
    kernel = sha256_kernel.kernel().name
    if kernel == "portable" and {"sha_ni", "sha2"} & set(machine.cpu_features):
        advice = "unset OCIFAST_SHA256_KERNEL, or rebuild with a compiler that knows the extension"
        yield Problem("the CPU has SHA instructions, but the portable kernel is used", advice)
    elif kernel == "portable":
        advice = "hash on a machine with SHA extensions: five times as fast or more"
        yield Problem("the CPU has no SHA instructions", advice)
    for codec in codecs:
        if codec.backends and codec.backend is None:
            advice = f"pip install {codec.backends[-1]}"
            yield Problem(f"{codec.name} layers cannot be read: no module for it", advice)
        elif codec.backend == SLOW_INFLATE:
            advice = "pip install isal: gzip layers are then read twice as fast"
            yield Problem("gzip layers are read with zlib", advice)
    if available_workers() < machine.cores:
        advice = "raise the CPU affinity or the control group's quota of this process"
        what = f"only {available_workers()} of {machine.cores} cores may be used"
        yield Problem(what, advice)
    load = os.getloadavg()[0]
    if load >= machine.usable_cores:
        what = f"the machine is busy (load {load:.1f} on {machine.usable_cores} cores)"
        yield Problem(what, "measure again when it is idle: the speeds here are too low")
    if not machine.memory_files:
        yield Problem("memory files (memfd_create) are forbidden", "allow them, or use --workers 0")
