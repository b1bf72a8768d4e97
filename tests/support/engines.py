"""Container engines of other people, started for tests in folders of their own.

Not a way to reach an engine that already runs: nothing here touches the machine's images.
Invariant: what was started is stopped by its process id, and nothing is left on disk or mounted.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from support.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SUDO = ["sudo", "-n"]
# instead of this machine's; the image store that all versions have, where a config is an image ID
SETTINGS = '{"features": {"containerd-snapshotter": false}}'
# podman asks for a million as root, which not every root is granted
MODEST_LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")


class CannotStart(Exception):
    """An engine does not run on this machine; says why."""


@dataclass(frozen=True)
class Client:
    """The command line of an engine that is ready for use."""

    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    run_options: tuple[str, ...] = ()

    def read(self, *words: str, stdin: bytes = b"") -> bytes:
        """Run a command; gives what it prints.

        Raises:
            AssertionError: It failed; the message is what it complained about.
        """
        done = subprocess.run(
            [*self.command, *words],
            check=False,
            input=stdin,
            capture_output=True,
            env=os.environ | self.environment,
            timeout=120,
        )
        assert done.returncode == 0, f"{words}: {done.stderr.decode(errors='replace')}"
        return done.stdout

    def __call__(self, *words: str) -> str:
        """Run a command; gives what it prints, as text."""
        return self.read(*words).decode()

    def output_of(self, image: str, *words: str) -> list[str]:
        """Run a container without a network; the lines it prints."""
        options = ("--rm", "--network", "none", *self.run_options)
        return self("run", *options, image, *words).splitlines()

    def forget_images(self) -> None:
        """Remove every image, so that the next load cannot find its layers."""
        found = self("images", "--all", "--quiet", "--no-trunc").split()
        if found:
            self("rmi", "--force", *dict.fromkeys(found))


def as_root(*, sudo: bool) -> list[str]:
    """What to put before a command so that root runs it.

    Raises:
        CannotStart: Only root may, and sudo is not to be asked.
    """
    if os.geteuid() == 0:
        return []
    if not sudo:
        raise CannotStart("it needs root")
    return SUDO


@contextlib.contextmanager
def root_folder(name: str, prefix: list[str]) -> Iterator[Path]:
    """A folder with a short path, as sockets need; removed by whoever owns its files."""
    folder = Path(tempfile.mkdtemp(prefix=f"ocifast-{name}-"))
    try:
        yield folder
    finally:
        for point in mounts_below(folder):
            subprocess.run([*prefix, "umount", "--lazy", point], check=True)
        if prefix:
            subprocess.run([*prefix, "rm", "-rf", "--one-file-system", folder], check=True)
        else:
            shutil.rmtree(folder)


def mounts_below(folder: Path) -> list[str]:
    """Mount points in a folder, the innermost first."""
    with open("/proc/self/mounts") as file:
        points = [line.split()[1] for line in file]
    return sorted((p for p in points if p.startswith(f"{folder}/")), key=len, reverse=True)


@contextlib.contextmanager
def dockerd(find: Callable[[str], str], *, sudo: bool) -> Iterator[Client]:
    """A dockerd without a network, on a socket of its own.

    Raises:
        CannotStart: It ends before it answers, or does not answer.
    """
    prefix = as_root(sudo=sudo)
    with root_folder("dockerd", prefix) as folder:
        socket = f"unix://{folder}/docker.sock"
        # not the folder's name: containerd refuses one with two underscores side by side
        namespace = f"ocifast-{os.getpid()}"
        command = [
            *[*prefix, find("dockerd"), "--host", socket, "--storage-driver", "vfs"],
            *["--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec"],
            *["--pidfile", f"{folder}/docker.pid", "--config-file", f"{folder}/daemon.json"],
            *["--containerd-namespace", namespace],
            *["--containerd-plugins-namespace", f"{namespace}-plugins"],
            *["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"],
            *["--group", str(os.getgid())],
        ]
        (folder / "daemon.json").write_text(SETTINGS)
        with (folder / "log").open("wb") as log:
            daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        client = Client([find("docker"), "--host", socket], {"DOCKER_CONFIG": str(folder)})
        try:
            wait_for(daemon, client, folder)
            yield client
        finally:
            stop(daemon, prefix, folder)


def wait_for(daemon: subprocess.Popen[bytes], client: Client, folder: Path) -> None:
    def answers() -> bool:
        if daemon.poll() is not None:
            return True
        with contextlib.suppress(AssertionError):
            return bool((folder / "docker.sock").exists() and client("version"))
        return False

    if not wait_until(answers, 60) or daemon.poll() is not None:
        lines = (folder / "log").read_text(errors="replace").splitlines()
        raise CannotStart(f"dockerd ends with {daemon.poll()}: " + " | ".join(lines[-3:]))


def stop(daemon: subprocess.Popen[bytes], prefix: list[str], folder: Path) -> None:
    """End it by its own process id; its containerd ends with it."""
    pid = str(daemon.pid)  # of sudo, when it is sudo that started it
    with contextlib.suppress(FileNotFoundError):
        pid = (folder / "docker.pid").read_text().strip()
    for signal in ("TERM", "KILL"):
        if daemon.poll() is None:
            # the shell's own kill: a small machine has no other
            subprocess.run([*prefix, "sh", "-c", f"kill -{signal} {pid}"], check=False)
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(30)


@contextlib.contextmanager
def podman(find: Callable[[str], str], *, sudo: bool) -> Iterator[Client]:
    """Podman with storage of its own; it needs no daemon.

    Raises:
        CannotStart: It cannot even tell about itself.
    """
    prefix = as_root(sudo=sudo)
    with root_folder("podman", prefix) as folder:
        command = [
            *[*prefix, find("podman"), "--root", f"{folder}/root", "--runroot", f"{folder}/run"],
            *["--tmpdir", f"{folder}/tmp", "--storage-driver", "vfs"],
            *["--cgroup-manager", "cgroupfs", "--events-backend", "none"],
        ]
        client = Client(command, run_options=MODEST_LIMITS)
        try:
            client("info")
        except AssertionError as error:
            raise CannotStart(str(error)) from error
        yield client
