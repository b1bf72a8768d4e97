"""What an image says of itself, as annotations of a bundle: only ever as words for people.

Some engines act on annotations: they add devices, run hooks, choose another runtime. An image does
not get to say such things, so names that are known to be acted on are left out (B01, B05, B06).
Annotations of manifests are not taken over at all. Invariant: names are not empty, and sorted.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ocifast.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocifast.spec.config import ImageConfig

__all__ = ["annotations_of", "is_reserved"]

PREFIX: Final = "org.opencontainers.image."
RESERVED: Final = (
    "com.github.containers.virtcontainers.",  # Kata, once
    "com.nvidia.",
    "dev.gvisor.",  # flags and mounts of runsc
    "io.container.",
    "io.containerd.",
    "io.containers.",  # hooks that trace, and write files
    "io.crun.",
    "io.katacontainers.",
    "io.microsoft.",  # hcsshim
    "io.podman.",
    "krun.",  # how large a machine crun makes
    "module.wasm.",
    "nvidia.",
    "org.criu.",  # what to restore a checkpoint from
    "org.opencontainers.runc.",
    "org.systemd.property.",  # properties of the unit
    "run.oci.",  # handlers, hooks and more of crun
)
"""Beginnings of names that runtimes, engines or their plugins act on."""
KUBERNETES: Final = re.compile(r"(.*\.)?(k8s|kubernetes|cri-o|nri)\.io([./].*)?", re.DOTALL)
"""CDI devices, CRI-O's and NRI's switches: domains of these, whatever is before or behind."""
REVERSED: Final = ("io.kubernetes", "io.cri-o", "io.nri")
"""The same, written the other way round. io.k8s is not one of them: what images have there, such as
io.k8s.description, nobody acts on."""


def annotations_of(config: ImageConfig) -> tuple[dict[str, str], tuple[str, ...]]:
    """Give the annotations that a config comes to, and sentences about labels left out.

    Labels win over what is said beside them, as the spec has it.
    """
    found = {f"{PREFIX}{name}": value for name, value in _implicit(config) if value}
    left_out = []
    for name, value in config.runtime.labels.items():
        if not name or is_reserved(name):
            left_out.append(name)
        else:
            found[name] = value
    return dict(sorted(found.items())), tuple(_sentences(left_out))


def is_reserved(name: str) -> bool:
    """Whether an engine may act on an annotation of that name.

    Example:
        >>> is_reserved("cdi.k8s.io/gpu"), is_reserved("org.example.kubernetes")
        (True, False)
    """
    folded = name.casefold()
    return (
        folded.startswith(RESERVED)
        or KUBERNETES.fullmatch(folded) is not None
        or any(folded == each or folded.startswith(f"{each}.") for each in REVERSED)
    )


def _implicit(config: ImageConfig) -> Iterator[tuple[str, str]]:
    """What the spec says of other fields (conversion.md, "Annotation Fields")."""
    yield "os", config.os
    yield "architecture", config.architecture
    yield "variant", config.variant
    yield "os.version", config.os_version
    yield "os.features", ",".join(config.os_features)
    yield "author", config.author
    yield "created", config.created
    yield "stopSignal", config.runtime.stop_signal
    yield "exposedPorts", ",".join(sorted(config.runtime.exposed_ports))


def _sentences(left_out: list[str]) -> Iterator[str]:
    shown = DEFAULT_LIMITS.findings
    for name in left_out[:shown]:
        reason = "engines act on annotations of that name" if name else "it has no name"
        yield f"config: config.Labels[{name[:80]!r}]: {reason}, and it is left out"
    if len(left_out) > shown:
        yield f"config: config.Labels: {len(left_out) - shown} more are left out"
