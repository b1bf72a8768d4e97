"""What `bundle` gives: where the bundle is, its config, and what its root file system is of.

Plain frozen values. Invariant: a report is only made of a bundle that is complete under its name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocifast.ops.unpacking import UnpackReport

__all__ = ["BundleReport"]

SCHEMA: Final = "ocifast.bundle/1"


@dataclass(frozen=True, slots=True)
class BundleReport:
    """A bundle that was made at `path`; `config` is what its config.json holds.

    `findings` are sentences about the image and its config; those about files are in `rootfs`.
    """

    path: str
    config: Mapping[str, Any] = field(hash=False)
    rootfs: UnpackReport
    findings: tuple[str, ...]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Give it as it stands in JSON."""
        rootfs = self.rootfs.to_dict()
        del rootfs["schema"]
        return {
            "schema": SCHEMA,
            "path": self.path,
            "config": dict(self.config),
            "rootfs": rootfs,
            "findings": list(self.findings),
            "seconds": round(self.seconds, 6),
        }
