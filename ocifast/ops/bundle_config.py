"""The config.json of a bundle: what an image says, put into a template that is the same for all.

Everything that could harm a host - mounts, devices, capabilities, hooks, namespaces - is of the
template; of the image there are words to run, an environment, a folder, ids and annotations (the
rule of B01-B06). Invariant: only what version 1.0.0 of the runtime-spec has is in it.

The template is what `runc spec` writes, with these differences. Capabilities are those that Docker
and containerd give, as images are built for them; none are inheritable or ambient. The root can be
written to, no terminal is asked for, /proc is mounted as containerd does, and more of it is masked.
Volumes are not mounted: what the image has there stays to be seen, and can be written to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ocifast.ops.unpack_options import mapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ocifast.ops.bundle_process import Process
    from ocifast.ops.bundle_user import User
    from ocifast.ops.unpack_options import IdRange

__all__ = ["CAPABILITIES", "ROOTFS", "Isolation", "runtime_config"]

VERSION: Final = "1.0.0"
"""The lowest that has all that is used: newer ones are refused by older runtimes."""
ROOTFS: Final = "rootfs"
HOSTNAME: Final = "ocifast"
TTY_GROUP: Final = 5

CAPABILITIES: Final = (
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)
NAMESPACES: Final = ("pid", "network", "ipc", "uts", "mount")
MASKED: Final = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READONLY: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
# destination, type, source, options
MOUNTS: Final = (
    ("/proc", "proc", "proc", "nosuid,noexec,nodev"),
    ("/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
    (
        "/dev/pts",
        "devpts",
        "devpts",
        f"nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid={TTY_GROUP}",
    ),
    ("/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=65536k"),  # noqa: S108 - of it
    ("/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"),
    ("/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"),
    ("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,relatime,ro"),
)
HOST_SYS: Final = ("/sys", "none", "/sys", "rbind,nosuid,noexec,nodev,ro")
"""Of those without a network namespace, who may mount no sysfs."""


@dataclass(frozen=True, slots=True)
class Isolation:
    """How a container is set apart: `uids` and `gids`, where given, make a user namespace.

    `rootless` shares the host's network and limits nothing, as only root could.
    """

    uids: tuple[IdRange, ...] = ()
    gids: tuple[IdRange, ...] = ()
    rootless: bool = False
    cgroups: bool = False
    """A namespace of cgroups: where the host has version 2, as runc decides."""


def runtime_config(
    process: Process, user: User, annotations: Mapping[str, str], isolation: Isolation
) -> dict[str, Any]:
    """Give the whole document, as JSON can carry it.

    Example:
        >>> from ocifast.ops.bundle_process import Process
        >>> from ocifast.ops.bundle_user import User
        >>> process = Process(("/app",), {}, "/")
        >>> runtime_config(process, User(5, 5), {}, Isolation())["process"]["user"]["uid"]
        5
    """
    return {
        "ociVersion": VERSION,
        "process": _process(process, user, isolation),
        "root": {"path": ROOTFS, "readonly": False},
        "hostname": HOSTNAME,
        "mounts": [_mount(*each) for each in _mounts(isolation)],
        **({"annotations": dict(annotations)} if annotations else {}),
        "linux": _linux(isolation),
    }


def _process(process: Process, user: User, isolation: Isolation) -> dict[str, Any]:
    who: dict[str, Any] = {"uid": user.uid, "gid": user.gid}
    # a user namespace that somebody made without privileges may set no groups
    if user.groups and not isolation.rootless:
        who["additionalGids"] = list(user.groups)
    return {
        "terminal": False,
        "user": who,
        "args": list(process.args),
        "env": process.env_with(user.home),
        "cwd": process.cwd,
        "capabilities": {
            kind: list(CAPABILITIES) for kind in ("bounding", "effective", "permitted")
        },
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
        "noNewPrivileges": True,
    }


def _mounts(isolation: Isolation) -> Iterable[tuple[str, str, str, str]]:
    terminals = not isolation.gids or mapped(TTY_GROUP, isolation.gids) is not None
    for destination, kind, source, options in MOUNTS:
        if destination == "/sys" and isolation.rootless:
            yield HOST_SYS
        elif destination == "/dev/pts" and (isolation.rootless or not terminals):
            yield destination, kind, source, options.removesuffix(f",gid={TTY_GROUP}")
        else:
            yield destination, kind, source, options


def _mount(destination: str, kind: str, source: str, options: str) -> dict[str, Any]:
    return {
        "destination": destination,
        "type": kind,
        "source": source,
        "options": options.split(","),
    }


def _linux(isolation: Isolation) -> dict[str, Any]:
    names = [name for name in NAMESPACES if name != "network" or not isolation.rootless]
    names += ["cgroup"] * isolation.cgroups
    names += ["user"] * bool(isolation.uids)
    linux: dict[str, Any] = {}
    if isolation.uids:
        linux["uidMappings"] = _ranges(isolation.uids)
        linux["gidMappings"] = _ranges(isolation.gids)
    if not isolation.rootless:
        linux["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
    linux["namespaces"] = [{"type": name} for name in names]
    linux["maskedPaths"] = list(MASKED)
    linux["readonlyPaths"] = list(READONLY)
    return linux


def _ranges(ranges: Sequence[IdRange]) -> list[dict[str, int]]:
    return [
        {"containerID": container, "hostID": host, "size": size} for container, host, size in ranges
    ]
