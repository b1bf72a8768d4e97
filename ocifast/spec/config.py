"""Configs: what is run, and which layers it needs (image-spec, config.md; Docker image v1.2+).

A config is its bytes: the image id is of what was received, and fields are a view of it; both
families share one view. *Invariant:* `diff_ids` are of layers from the base up, and nothing that
was in the document is lost, as it is never written again from these fields.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from ocifast.errors import DocumentError
from ocifast.spec.digest import Digest
from ocifast.spec.document import CONFIG_BYTES, KEYS, LAYERS, parse_json
from ocifast.spec.fields import Fields
from ocifast.spec.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocifast.limits import Profile

__all__ = ["ContainerConfig", "History", "ImageConfig", "chain_ids", "check_layers"]

KNOWN: Final = (
    "created",
    "author",
    "architecture",
    "os",
    "os.version",
    "os.features",
    "variant",
    "config",
    "rootfs",
    "history",
)
KNOWN_HISTORY: Final = ("created", "author", "created_by", "comment", "empty_layer")
KNOWN_ROOTFS: Final = ("type", "diff_ids")
KNOWN_RUNTIME: Final = (
    "User",
    "Env",
    "Entrypoint",
    "Cmd",
    "WorkingDir",
    "ExposedPorts",
    "Volumes",
    "Labels",
    "StopSignal",
)


class History(NamedTuple):
    """How one layer came to be; an `empty_layer` changed the config only, and is in no manifest."""

    created: str = ""
    author: str = ""
    created_by: str = ""
    comment: str = ""
    empty_layer: bool = False


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    """What is run when nothing else is asked for; empty is the same as absent."""

    user: str = ""
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    working_dir: str = ""
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    stop_signal: str = ""
    extra: Mapping[str, object] = field(default_factory=dict, hash=False)
    """Fields of Docker's alone, such as Healthcheck, and unknown ones."""


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """The config of an image that can be run, of either family; empty is the same as absent."""

    raw: bytes = field(repr=False)
    architecture: str
    """Empty in images of Docker before 1.10, as `os` is."""
    os: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()
    created: str = ""
    """As written: RFC 3339, which is not checked."""
    author: str = ""
    diff_ids: tuple[Digest, ...] = ()
    history: tuple[History, ...] = ()
    """Oldest first; empty when there is none."""
    runtime: ContainerConfig = field(default_factory=ContainerConfig)
    extra: Mapping[str, object] = field(default_factory=dict, hash=False)
    """Unknown fields, and those of Docker's alone."""

    @classmethod
    def parse(cls, raw: bytes, *, document: str) -> ImageConfig:
        """Read a config; `document` names it in errors.

        Raises:
            DocumentError: It is malformed, or its rootfs is not made of layers.
            UnsupportedError: A diff_id is of an algorithm that is not known.
        """
        value = parse_json(raw, what=document, limit=CONFIG_BYTES)
        fields = Fields(value, KNOWN, document)
        runtime = fields.take("config")
        history = fields.items("history", KEYS)
        return cls(
            raw=raw,
            architecture=fields.text("architecture"),
            os=fields.text("os"),
            variant=fields.text("variant"),
            os_version=fields.text("os.version"),
            os_features=fields.texts("os.features"),
            created=fields.text("created"),
            author=fields.text("author"),
            diff_ids=_diff_ids(fields),
            history=tuple(_history(item, document, where) for item, where in history),
            runtime=ContainerConfig() if runtime is None else _runtime(runtime, document),
            extra=fields.rest(),
        )

    @property
    def image_id(self) -> Digest:
        """The digest of the bytes as they are: Docker's ImageID."""
        return Digest.of_content(self.raw)

    @property
    def platform(self) -> Platform:
        """What the layers run on, as written."""
        return Platform(self.os, self.architecture, self.variant, self.os_version, self.os_features)

    def chain_ids(self) -> tuple[Digest, ...]:
        """Name each stack of layers from the base up to a layer; one for each diff_id."""
        return chain_ids(self.diff_ids)


def chain_ids(diff_ids: tuple[Digest, ...]) -> tuple[Digest, ...]:
    """Name each stack of layers from the base up (image-spec, config.md, "Layer ChainID").

    Example:
        >>> one = Digest("sha256:" + "0" * 64)
        >>> chain_ids((one, one))[1][:20]
        'sha256:1c549100e455e'
    """
    chain: list[Digest] = []
    for diff_id in diff_ids:
        below = chain[-1] if chain else None
        chain.append(diff_id if below is None else Digest.of_content(f"{below} {diff_id}".encode()))
    return tuple(chain)


def check_layers(
    config: ImageConfig, layers: int, *, document: str, profile: Profile
) -> tuple[str, ...]:
    """Hold a config against the number of layers of its manifest (J10).

    Gives sentences about what is odd and was tolerated.

    Raises:
        DocumentError: It names another number of layers; in the strict profile, also when its
            history does.
    """
    named = len(config.diff_ids)
    if named != layers:
        reason = f"it has {named} elements, and the image has {layers} layers"
        raise DocumentError(document, "rootfs.diff_ids", reason)
    filled = sum(not step.empty_layer for step in config.history)
    if not config.history or filled == named:
        return ()
    reason = f"{filled} of its {len(config.history)} elements made a layer, and there are {named}"
    if profile == "strict":
        raise DocumentError(document, "history", reason)
    return (f"{document}: history: {reason}",)


def _diff_ids(fields: Fields) -> tuple[Digest, ...]:
    rootfs = Fields(
        fields.take("rootfs", required=True), KNOWN_ROOTFS, fields.document, fields.place("rootfs")
    )
    kind = rootfs.text("type", required=True)
    if kind != "layers":
        rootfs.fail("type", f"it must be 'layers', not {kind[:40]!r}")
    # Docker leaves diff_ids out when there are none.
    return rootfs.digests("diff_ids", LAYERS)


def _history(value: object, document: str, where: str) -> History:
    fields = Fields(value, KNOWN_HISTORY, document, where)
    return History(
        created=fields.text("created"),
        author=fields.text("author"),
        created_by=fields.text("created_by"),
        comment=fields.text("comment"),
        empty_layer=fields.flag("empty_layer"),
    )


def _runtime(value: object, document: str) -> ContainerConfig:
    fields = Fields(value, KNOWN_RUNTIME, document, "config")
    return ContainerConfig(
        user=fields.text("User"),
        env=fields.texts("Env"),
        entrypoint=fields.texts("Entrypoint"),
        cmd=fields.texts("Cmd"),
        working_dir=fields.text("WorkingDir"),
        exposed_ports=fields.names("ExposedPorts"),
        volumes=fields.names("Volumes"),
        labels=fields.text_map("Labels", CONFIG_BYTES),
        stop_signal=fields.text("StopSignal"),
        extra=fields.rest(),
    )
