"""What unpacking is to do: owners, devices, and what is at the destination already.

Values; nothing is opened. Invariant: options that contradict each other are refused here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from ocifast.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ocifast.limits import Profile

__all__ = ["DEVICES", "Devices", "IdRange", "UnpackOptions", "mapped"]

Devices: TypeAlias = Literal["create", "record", "deny"]
IdRange: TypeAlias = "tuple[int, int, int]"

DEVICES: Final[tuple[Devices, ...]] = ("create", "record", "deny")
ID_END: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class UnpackOptions:
    """What unpacking is to do; the defaults are those of `unpack`.

    Raises:
        ValueError: Two of them contradict each other, or a range holds no ids.

    Example:
        >>> UnpackOptions(rootless=True).device_rule
        'record'
    """

    platform: str | None = None
    """Which image of an index."""
    profile: Profile = "compat"
    limits: Limits = DEFAULT_LIMITS
    replace: bool = False
    """What is at the destination trades places with the result, and is removed then."""
    keep: bool = False
    """What is at the destination stays, as the lowest layer; it is changed in place."""
    rootless: bool = False
    """Owners are not set but recorded: xattr user.rootlesscontainers, as umoci has it."""
    uid_map: tuple[IdRange, ...] = ()
    """Ranges (id in the layers, id here, how many); without any, ids are taken as they are."""
    gid_map: tuple[IdRange, ...] = ()
    overlay: bool = False
    """A folder for each layer, the base 0, with whiteouts as overlayfs has them."""
    devices: Devices | None = None
    """None: refused in strict, recorded when rootless, else made."""
    sync: bool = False
    """All is on disk before it is shown."""

    def __post_init__(self) -> None:
        if self.replace and self.keep:
            raise ValueError("what is there can be replaced or kept, not both")
        if self.rootless and (self.uid_map or self.gid_map):
            raise ValueError("rootless sets no owners, so there are none to map")
        if self.overlay and self.keep:
            raise ValueError("folders for overlayfs are made anew: nothing can be kept in them")
        if self.devices is not None and self.devices not in DEVICES:
            msg = f"devices are one of {', '.join(DEVICES)}, not {self.devices!r}"
            raise ValueError(msg)
        for name, ranges in (("uid", self.uid_map), ("gid", self.gid_map)):
            for container, host, size in ranges:
                if min(container, host) < 0 or size < 1 or max(container, host) + size > ID_END:
                    msg = f"{container}:{host}:{size} is no range of {name}s"
                    raise ValueError(msg)

    @property
    def device_rule(self) -> Devices:
        """What becomes of devices."""
        if self.devices is not None:
            return self.devices
        if self.profile == "strict":
            return "deny"
        return "record" if self.rootless else "create"

    @property
    def metadata(self) -> dict[str, Any]:
        """How metadata is set, as JSON can carry it to a worker."""
        return {
            "uid_map": [list(each) for each in self.uid_map],
            "gid_map": [list(each) for each in self.gid_map],
            "rootless": self.rootless,
            "overlay": self.overlay,
        }


def mapped(number: int, ranges: Iterable[IdRange]) -> int | None:
    """Give the id on the host; None for one that no range has.

    Example:
        >>> mapped(5, [(0, 1000, 1), (1, 100000, 65536)]), mapped(1, [(0, 1000, 1)])
        (100004, None)
    """
    for container, host, size in ranges:
        if container <= number < container + size:
            return host + number - container
    return None
