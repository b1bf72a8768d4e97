"""What a bundle is to be: what runs instead of what the image says, and how it is set apart.

Values; nothing is opened. Invariant: options that contradict each other are refused here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ocifast.limits import DEFAULT_LIMITS, Limits
from ocifast.ops.bundle_config import Isolation
from ocifast.ops.unpack_options import UnpackOptions

if TYPE_CHECKING:
    from ocifast.limits import Profile
    from ocifast.ops.unpack_options import Devices, IdRange

__all__ = ["BundleOptions"]

RANGES: Final = 340
"""What the kernel takes."""
CGROUP_V2: Final = "/sys/fs/cgroup/cgroup.controllers"


@dataclass(frozen=True, slots=True)
class BundleOptions:
    """What a bundle is to be; the defaults are those of `bundle`.

    Raises:
        ValueError: Two of them contradict each other, or a word can be no argument.

    Example:
        >>> BundleOptions(uid_map=((0, 100000, 65536),), gid_map=((0, 100000, 65536),)).rootless
        False
    """

    args: tuple[str, ...] | None = None
    """What stands for the image's Cmd, behind its Entrypoint."""
    user: str | None = None
    """``user[:group]`` that stands for the image's User."""
    platform: str | None = None
    """Which image of an index."""
    profile: Profile = "compat"
    limits: Limits = DEFAULT_LIMITS
    replace: bool = False
    """What is at the destination trades places with the bundle, and is removed then."""
    rootless: bool = False
    """For a runtime without privileges: owners are recorded, not set; the network is the host's."""
    uid_map: tuple[IdRange, ...] = ()
    """Ranges (id in the container, id here, how many) of a user namespace. Without any there is
    none, or, when rootless, one in which root is who makes the bundle."""
    gid_map: tuple[IdRange, ...] = ()
    devices: Devices | None = None
    """None: refused in strict, recorded when rootless, else made."""
    sync: bool = False
    """All is on disk before it is shown."""

    def __post_init__(self) -> None:
        if bool(self.uid_map) != bool(self.gid_map):
            raise ValueError("a user namespace has users and groups: give ranges of both")
        if max(len(self.uid_map), len(self.gid_map)) > RANGES:
            msg = f"a user namespace has at most {RANGES} ranges"
            raise ValueError(msg)
        for word in (*(self.args or ()), self.user or ""):
            if "\0" in word or not _is_text(word):
                msg = f"{word!r} cannot be written down in JSON"
                raise ValueError(msg)
        UnpackOptions(uid_map=self.uid_map, gid_map=self.gid_map, devices=self.devices)

    @property
    def isolation(self) -> Isolation:
        """How the container is set apart."""
        uids, gids = self.uid_map, self.gid_map
        if self.rootless and not uids:
            uids, gids = ((0, os.geteuid(), 1),), ((0, os.getegid(), 1),)
        return Isolation(uids, gids, self.rootless, os.path.exists(CGROUP_V2))

    def unpack_options(self) -> dict[str, Any]:
        """What `unpack` has to know; when rootless, all files are of who makes the bundle."""
        return {
            "platform": self.platform,
            "profile": self.profile,
            "limits": self.limits,
            "rootless": self.rootless,
            "uid_map": () if self.rootless else self.uid_map,
            "gid_map": () if self.rootless else self.gid_map,
            "devices": self.devices,
        }


def _is_text(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True
