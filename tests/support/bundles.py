"""Images that become bundles: what is in them, and what their configs say, word for word.

Made without ocifast. Invariant: what a test does not say is not in the image.
"""

from __future__ import annotations

import platform
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

from support.engine_images import ARCHITECTURES, pack, stamped
from support.images import Files, Sample, layout_files, write_folder

if TYPE_CHECKING:
    from pathlib import Path

    from support.layers import Layer

    Content = dict[str, str | bytes | tarfile.TarInfo]

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
app:x:1000:100:an app:/srv/app:/bin/app
first:x:7:8::/first:
second:x:7:9::/second:
0:x:55:55:a name of digits:/zero:
short:x:12:13
"""
GROUP = """\
root:x:0:
users:x:100:
web:x:33:app,first
audio:x:29:first,app,app
docker:x:999:second
"""
ACCOUNTS: Content = {"etc/passwd": PASSWD, "etc/group": GROUP}

WITNESS = r"""
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

static void show_status(const char *name) {
    char line[200];
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0) fputs(line, stdout);
    if (file) fclose(file);
}

int main(int count, char **words) {
    char folder[4096], host[300];
    gid_t groups[100];
    for (int i = 0; i < count; i++) printf("word %s\n", words[i]);
    for (char **each = environ; *each; each++) printf("env %s\n", *each);
    printf("folder %s\n", getcwd(folder, sizeof folder));
    printf("uid %d gid %d groups", (int)getuid(), (int)getgid());
    int all = getgroups(100, groups);
    for (int i = 0; i < all; i++) printf(" %d", (int)groups[i]);
    gethostname(host, sizeof host);
    printf("\nhost %s pid %d\n", host, (int)getpid());
    show_status("CapEff");
    show_status("CapBnd");
    show_status("NoNewPrivs");
    FILE *file = fopen("/tmp-of-mine", "w");
    printf("root %s\n", file ? "can be written to" : "cannot be written to");
    return count > 1 && strcmp(words[1], "fail") == 0 ? 3 : 0;
}
"""
"""A program that tells all that a bundle decides about it."""


def compile_witness(compiler: str, folder: Path) -> bytes:
    """The program, linked statically: images have no C library.

    Raises:
        subprocess.CalledProcessError: This machine cannot link statically.
    """
    source, target = folder / "witness.c", folder / "witness"
    source.write_text(WITNESS)
    command = [compiler, "-O1", "-static", "-s", "-w", "-o", target, source]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return target.read_bytes()


def layer(files: Content | None = None) -> Layer:
    """A layer of files."""
    return pack(dict(ACCOUNTS if files is None else files), "gzip")


def special(kind: bytes, target: str = "") -> tarfile.TarInfo:
    """Something that is no regular file, such as `tarfile.FIFOTYPE`."""
    member = stamped(tarfile.TarInfo(), 0o755, kind)
    member.linkname = target
    return member


def sample(
    runtime: dict[str, Any] | None = None, files: Content | None = None, os_name: str = "linux"
) -> Sample:
    """An image of one layer; without more it has a Cmd, and accounts."""
    runtime = {"Cmd": ["/bin/app"]} | (runtime or {})
    machine = platform.machine()
    architecture = ARCHITECTURES.get(machine, machine)
    return Sample((layer(files),), ("app:1",), (os_name, architecture), runtime)


def write_image(folder: Path, image: Sample | Files) -> str:
    """Write a layout; gives the reference."""
    files = layout_files(image) if isinstance(image, Sample) else image
    return f"oci:{write_folder(folder / 'layout', files)}"
