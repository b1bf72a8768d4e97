"""Configs of Docker as OCI's and back, without touching what needs no touch.

A config that the other family can read is the same bytes there, so the image keeps its id. It
looks at configs only; manifests are `manifest_conversion`. *Invariant:* `to_oci(to_oci(x))` is
`to_oci(x)`, and unknown fields are kept in their order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ocifast.spec.config import ImageConfig
from ocifast.spec.document import CONFIG_BYTES, encode_json, parse_json

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["to_docker", "to_oci", "with_diff_ids"]

DEFAULTS: Final = {"architecture": "amd64", "os": "linux"}
"""What Docker meant when it left them out: there was nothing else."""
NULLABLE: Final = frozenset({"Entrypoint", "Cmd", "Volumes", "Labels"})
"""Keys of `config` where the schema takes null; elsewhere it wants them absent."""
TYPED: Final = frozenset({"User", "ExposedPorts", "Env", "WorkingDir", "StopSignal", "ArgsEscaped"})
SETS: Final = ("ExposedPorts", "Volumes")


def to_oci(raw: bytes, *, document: str = "config") -> bytes:
    """Give the config in a form that image-spec's schema takes: the same bytes, if it does already.

    Else what is required is filled in and null is taken out where it may not stand; the image id is
    then another one.

    Raises:
        DocumentError: It is no config.
        UnsupportedError: It names a digest of unknown algorithm.

    Example:
        >>> to_oci(b'{"os": "linux", "rootfs": {"type": "layers", "diff_ids": []}, "author": null}')
        b'{"os":"linux","rootfs":{"type":"layers","diff_ids":[]},"architecture":"amd64"}'
    """
    ImageConfig.parse(raw, document=document)
    value: Any = parse_json(raw, what=document, limit=CONFIG_BYTES)
    mended = _mended(value)
    return raw if mended == value else encode_json(mended)


def to_docker(raw: bytes, *, document: str = "config") -> bytes:
    """Give the config in a form that Docker takes: the same bytes, once they are looked at.

    Docker reads null as absent and fills in what is missing, so there is nothing to mend.
    Raises as `to_oci`.
    """
    return ImageConfig.parse(raw, document=document).raw


def with_diff_ids(raw: bytes, diff_ids: Sequence[str], *, document: str = "config") -> bytes:
    """Give the config of the same image with other tars in its layers; the image id is another.

    Raises as `to_oci`.

    Example:
        >>> with_diff_ids(b'{"rootfs":{"type":"layers","diff_ids":[]},"os":"linux"}', ["sha256:1"])
        b'{"rootfs":{"type":"layers","diff_ids":["sha256:1"]},"os":"linux"}'
    """
    value: Any = parse_json(raw, what=document, limit=CONFIG_BYTES)
    return encode_json({**value, "rootfs": {**value["rootfs"], "diff_ids": list(diff_ids)}})


def _mended(value: dict[str, Any]) -> dict[str, Any]:
    """Give a config that the schema takes; `value` is one that `ImageConfig` reads."""
    config = {key: inner for key, inner in value.items() if inner is not None or not _known(key)}
    for key, default in DEFAULTS.items():
        config[key] = config.get(key) or default
    config["rootfs"] = {**config["rootfs"], "diff_ids": config["rootfs"].get("diff_ids") or []}
    if "history" in config:
        config["history"] = [
            {key: inner for key, inner in step.items() if inner is not None}
            for step in config["history"]
        ]
    if "config" in config:
        config["config"] = _mended_runtime(config["config"])
    return config


def _known(key: str) -> bool:
    return key in {"created", "author", "variant", "os.version", "os.features", "config", "history"}


def _mended_runtime(value: dict[str, Any]) -> dict[str, Any]:
    runtime = {key: inner for key, inner in value.items() if inner is not None or key not in TYPED}
    for key in SETS:
        if runtime.get(key):
            runtime[key] = {name: inner or {} for name, inner in runtime[key].items()}
    return runtime
