"""Where images live: OCI layouts, archives, `docker save` output, folders.

The table of transports: what each reads, over any kind of files. *Invariant:* the table is
immutable; a transport is one file beside this and one line in it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from ocifast.transports.directory import read_directory
from ocifast.transports.docker_archive import read_docker_archive
from ocifast.transports.layout import read_layout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocifast.limits import Profile
    from ocifast.transports.base import Files, Stored
    from ocifast.transports.collecting import Collect
    from ocifast.transports.reference import ImageReference

__all__ = ["TRANSPORTS", "Transport"]


class Read(Protocol):
    """Gives what is in a store, or what of it is wanted."""

    def __call__(
        self,
        files: Files,
        wanted: ImageReference | None = None,
        profile: Profile = "compat",
        collect: Collect | None = None,
    ) -> tuple[Stored, ...]:
        """Look up; with `collect`, go on after what is wrong with one document."""


class Transport(NamedTuple):
    """A way images are kept: its name in references, and how it is read.

    `kind` says whether it is a folder or an archive; an archive may also be unpacked in a folder.
    """

    name: str
    kind: str
    read: Read


TRANSPORTS: Final[Mapping[str, Transport]] = MappingProxyType(
    {
        transport.name: transport
        for transport in (
            Transport("oci", "folder", read_layout),
            Transport("oci-archive", "archive", read_layout),
            Transport("docker-archive", "archive", read_docker_archive),
            Transport("dir", "folder", read_directory),
        )
    }
)
