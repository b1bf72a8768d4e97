"""Platforms: the operating system and processor an image is for (image-spec, image-index.md).

Names are normalised as containerd does, and matching walks downwards as there: a machine runs what
was built for its processor's older generations. It asks the machine nothing but its name.
*Invariant:* `parse` gives normalised names; a value read from a document keeps its spelling.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from ocifast.errors import ReferenceSyntaxError
from ocifast.spec.fields import Fields

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Platform", "host_platform"]

KNOWN: Final = ("architecture", "os", "os.version", "os.features", "variant")
COMPONENT: Final = re.compile(r"[A-Za-z0-9_.-]+")

SYSTEMS: Final = {"macos": "darwin"}
PROCESSORS: Final = {
    "i386": ("386", ""),
    "i686": ("386", ""),
    "x86_64": ("amd64", None),
    "x86-64": ("amd64", None),
    "aarch64": ("arm64", None),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv6l": ("arm", "v6"),
    "armv7l": ("arm", "v7"),
    "armv8l": ("arm", "v8"),
    "loongarch64": ("loong64", None),
}
VARIANTS: Final = {
    ("amd64", "v1"): "",
    ("arm64", "8"): "",
    ("arm64", "v8"): "",
    ("arm64", "v8.0"): "",
    ("arm64", "9"): "v9",
    ("arm64", "9.0"): "v9",
    ("arm64", "v9.0"): "v9",
    ("arm", ""): "v7",
    ("arm", "5"): "v5",
    ("arm", "6"): "v6",
    ("arm", "7"): "v7",
    ("arm", "8"): "v8",
}
LEVEL: Final = re.compile(r"v([0-9]{1,2})(?:\.([0-9]))?")


@dataclass(frozen=True, slots=True)
class Platform:
    """Operating system, architecture and variant, in Go's words.

    Example:
        >>> str(Platform.parse("Linux/aarch64/v8"))
        'linux/arm64'
    """

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()
    extra: Mapping[str, object] = field(default_factory=dict, hash=False)
    """Unknown fields of the document it was read from."""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read `os/architecture[/variant]`, as people type it.

        Raises:
            ReferenceSyntaxError: It has another form.
        """
        parts = text.split("/")
        if not 2 <= len(parts) <= 3 or not all(COMPONENT.fullmatch(part) for part in parts):
            raise ReferenceSyntaxError(
                text, "a platform is os/architecture or os/architecture/variant"
            )
        system, architecture, variant = [*parts, ""][:3]
        return cls(system, architecture, variant).normalized()

    @classmethod
    def from_json(cls, value: object, document: str, where: str = "platform") -> Platform:
        """Read the platform of a descriptor. Raises DocumentError."""
        fields = Fields(value, KNOWN, document, where)
        return cls(
            os=fields.text("os"),
            architecture=fields.text("architecture"),
            variant=fields.text("variant"),
            os_version=fields.text("os.version"),
            os_features=fields.texts("os.features"),
            extra=fields.rest(),
        )

    def to_json(self) -> dict[str, object]:
        """Give the fields in the order Go writes them."""
        optional = {
            "os.version": self.os_version,
            "os.features": list(self.os_features),
            "variant": self.variant,
        }
        given = {key: value for key, value in optional.items() if value}
        return {"architecture": self.architecture, "os": self.os, **given, **self.extra}

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))

    @property
    def is_unknown(self) -> bool:
        """Whether it is the placeholder that builders give to attestations."""
        return self.os == self.architecture == "unknown"

    def normalized(self) -> Platform:
        """Give the same platform by its canonical names."""
        system = self.os.lower()
        architecture, variant = self.architecture.lower(), self.variant.lower()
        architecture, forced = PROCESSORS.get(architecture, (architecture, None))
        variant = variant if forced is None else forced
        return replace(
            self,
            os=SYSTEMS.get(system, system),
            architecture=architecture,
            variant=VARIANTS.get((architecture, variant), variant),
        )

    def rank(self, offered: Platform) -> int | None:
        """Say how well what is offered fits: 0 is exact, more is worse, None is not at all.

        Example:
            >>> Platform.parse("linux/amd64/v3").rank(Platform("linux", "amd64", "v2"))
            1
        """
        ours, theirs = self.normalized(), offered.normalized()
        if ours.os != theirs.os or not _version_fits(ours.os_version, theirs.os_version):
            return None
        wanted = _processors(ours.architecture, ours.variant)
        found = (theirs.architecture, theirs.variant)
        return wanted.index(found) if found in wanted else None

    def matches(self, offered: Platform) -> bool:
        """Whether this platform runs what is offered."""
        return self.rank(offered) is not None


def host_platform() -> Platform:
    """Give the platform of this machine, without the variant of its processor where x86 has one."""
    machine = os.uname()
    return Platform(machine.sysname.lower(), machine.machine).normalized()


def _version_fits(wanted: str, offered: str) -> bool:
    """Whether an OS version, as far as it was asked for, is the one offered."""
    return not wanted or not offered or f"{offered}.".startswith(f"{wanted}.")


def _processors(architecture: str, variant: str) -> list[tuple[str, str]]:
    """List what a processor runs, the best first, by normalised names."""
    found = [(architecture, variant)]
    level = LEVEL.fullmatch(variant or ("v8" if architecture == "arm64" else "v1"))
    if level is None:
        return found
    major, minor = int(level[1]), int(level[2] or 0)
    if architecture == "amd64":
        found += [(architecture, f"v{n}") for n in range(major - 1, 0, -1)]
        found += [("386", "")]
    elif architecture == "arm":
        found += [(architecture, f"v{n}") for n in range(major - 1, 4, -1)]
    elif architecture == "arm64":
        if major == 9:
            found += [(architecture, f"v9.{n}") for n in range(minor - 1, -1, -1)]
            # 9.x has what 8.(x+5) has.
            found += [(architecture, f"v8.{minor + 5}")]
            minor += 5
        found += [(architecture, f"v8.{n}") for n in range(minor - 1, -1, -1)]
        found += [("arm", f"v{n}") for n in range(8, 4, -1)]
    return [(name, VARIANTS.get((name, level), level)) for name, level in found]
