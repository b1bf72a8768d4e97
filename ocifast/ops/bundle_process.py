"""What runs, and where: arguments, environment and folder of a config, as a runtime takes them.

Who runs is found elsewhere, in the image. Invariant: there is at least one argument, a name stands
once in the environment, and the folder is absolute, clean, and not in what the runtime mounts.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ocifast.errors import DocumentError, UnsupportedError
from ocifast.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ocifast.limits import Profile
    from ocifast.spec.config import ContainerConfig

__all__ = ["DEFAULT_PATH", "RUNTIME_FOLDERS", "Process", "find_process"]

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Of images that set none; what every engine gives them."""
RUNTIME_FOLDERS: Final = ("/proc", "/dev", "/sys")
"""What the runtime mounts: a process that starts in one of its links, such as /proc/self/fd/7, may
find itself outside (B03)."""
PATH_BYTES: Final = 4095


@dataclass(frozen=True, slots=True)
class Process:
    """What runs; `env` has a value for each name, in the image's order."""

    args: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    findings: tuple[str, ...] = ()

    def env_with(self, home: str) -> list[str]:
        """The environment as a runtime takes it; HOME, where known, is added and never changed.

        Example:
            >>> Process(("/app",), {"A": "1"}, "/").env_with("/root")
            ['A=1', 'HOME=/root']
        """
        env = {**self.env, "HOME": home} if home and "HOME" not in self.env else self.env
        return [f"{name}={value}" for name, value in env.items()]


def find_process(
    config: ContainerConfig, args: Sequence[str] | None = None, profile: Profile = "compat"
) -> Process:
    """Say what a config runs; `args` stand for its Cmd, behind its Entrypoint.

    Raises:
        UnsupportedError: It does not say what to run.
        DocumentError: It says something that cannot be run, or is refused.

    Example:
        >>> from ocifast.spec.config import ContainerConfig
        >>> find_process(ContainerConfig(entrypoint=("/app",), cmd=("serve",))).args
        ('/app', 'serve')
    """
    odd = _Oddities(profile)
    words = (*config.entrypoint, *(config.cmd if args is None else args))
    if not words:
        raise UnsupportedError(
            "the image does not say what to run: it has neither Entrypoint nor Cmd; "
            "say it with --cmd, or `args` in Python"
        )
    if not words[0]:
        place = "config.Entrypoint" if config.entrypoint else "config.Cmd"
        raise DocumentError("config", place, "the name of what to run is empty")
    env = _environment(config.env, odd)
    env.setdefault("PATH", DEFAULT_PATH)
    return Process(words, env, _folder(config.working_dir, odd), odd.sentences())


class _Oddities:
    """What one reader takes and another does not: refused in strict, noted in compat."""

    def __init__(self, profile: Profile) -> None:
        self._strict = profile == "strict"
        self._found: list[str] = []
        self._more = 0

    def add(self, place: str, reason: str) -> None:
        if self._strict:
            raise DocumentError("config", place, reason)
        if len(self._found) < DEFAULT_LIMITS.findings:
            self._found.append(f"config: {place}: {reason}")
        else:
            self._more += 1

    def sentences(self) -> tuple[str, ...]:
        if not self._more:
            return tuple(self._found)
        return (*self._found, f"config: and {self._more} more oddities")


def _environment(entries: Iterable[str], odd: _Oddities) -> dict[str, str]:
    """A name has its last value, in its first place, as Docker has it (B04)."""
    env: dict[str, str] = {}
    for number, entry in enumerate(entries):
        place = f"config.Env[{number}]"
        name, sign, value = entry.partition("=")
        if not sign:
            odd.add(place, "it has no '=', and is left out")
        elif not name or not name.isprintable():
            odd.add(place, "its name is empty or not printable, and is left out")
        else:
            if name in env:
                odd.add(place, f"{name[:80]} is set twice: this value counts")
            env[name] = value
    return env


def _folder(text: str, odd: _Oddities) -> str:
    """Make it absolute and clean, within the root (B03)."""
    place = "config.WorkingDir"
    if text and not text.startswith("/"):
        odd.add(place, "it is relative, and taken from the root")
    if ".." in text.split("/"):
        odd.add(place, "it has '..' in it, which is taken off with what is before it")
    path = posixpath.normpath("/" + text.strip("/"))
    if f"{path}/".startswith(tuple(f"{folder}/" for folder in RUNTIME_FOLDERS)):
        raise DocumentError("config", place, f"{path[:80]!r} is in what the runtime mounts")
    if len(path.encode()) > PATH_BYTES:
        raise DocumentError("config", place, f"it has more than {PATH_BYTES} bytes")
    return path
