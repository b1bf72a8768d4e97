"""An image that container engines can run, and what its command says when everything is in place.

The command is a static C program that looks at its root and prints what it finds, so that a lost
whiteout, link or layer changes the output. Invariant: the truth is written down here, not computed
by anything under test.
"""

from __future__ import annotations

import io
import platform
import subprocess
import tarfile
from typing import TYPE_CHECKING

from support.images import Sample
from support.layers import LAYER, SUFFIX, Layer, sha256, squeeze

if TYPE_CHECKING:
    from pathlib import Path

NAME = "example.com/team/shows:1"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void show_file(const char *path) {
    char line[80] = "";
    FILE *file = fopen(path, "r");
    if (file) { fgets(line, sizeof line, file); fclose(file); }
    printf("%s: %s\n", path, file ? line : "absent");
}

int main(int count, char **words) {
    for (int i = 1; i < count; i++) {
        char *second = strchr(words[i], '=');
        struct stat a, b;
        if (words[i][0] == '$') {
            const char *value = getenv(words[i] + 1);
            printf("%s: %s\n", words[i], value ? value : "unset");
        } else if (second) {
            *second++ = 0;
            int same = !stat(words[i], &a) && !stat(second, &b) && a.st_ino == b.st_ino;
            printf("%s %s %s\n", words[i], same ? "is" : "is not", second);
        } else {
            show_file(words[i]);
        }
    }
    return 0;
}
"""
SAYS = {
    "$GREETING": "$GREETING: hello",
    "/etc/kept": "/etc/kept: from the base",
    "/etc/changed": "/etc/changed: from above",
    "/etc/removed": "/etc/removed: absent",
    "/opaque/old": "/opaque/old: absent",
    "/opaque/new": "/opaque/new: from above",
    "/etc/link": "/etc/link: from the base",
    "/etc/kept=/etc/twin": "/etc/kept is /etc/twin",
    "/etc/kept=/etc/changed": "/etc/kept is not /etc/changed",
    "/" + "deep/" * 30 + "file": "/" + "deep/" * 30 + "file: from far below",
    "/etc/note": "/etc/note: the same layer twice",
}
"""What the command is asked, and its answer, a line each."""

ANSWER = list(SAYS.values())


def compile_program(compiler: str, folder: Path) -> bytes:
    """The program, linked statically: the image has no C library.

    Raises:
        subprocess.CalledProcessError: This machine cannot link statically.
    """
    source, target = folder / "show.c", folder / "show"
    source.write_text(PROGRAM)
    command = [compiler, "-O1", "-static", "-s", "-w", "-o", target, source]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return target.read_bytes()


def make_engine_image(
    program: bytes, codec: str = "gzip", name: str = NAME, greeting: str = "hello"
) -> Sample:
    """Four layers, of which two are the same; images differ by their greeting only."""
    note = pack({"etc/note": "the same layer twice"}, codec)
    layers = (base_layer(program, codec), note, upper_layer(codec), note)
    runtime = {
        "Env": ["PATH=/bin", f"GREETING={greeting}"],
        "Entrypoint": ["/bin/show"],
        "Cmd": list(SAYS),
        "WorkingDir": "/opaque",
        "Labels": {"org.example.greeting": greeting},
    }
    machine = platform.machine()
    return Sample(layers, (name,), ("linux", ARCHITECTURES.get(machine, machine)), runtime)


def base_layer(program: bytes, codec: str) -> Layer:
    files: dict[str, str | bytes | tarfile.TarInfo] = {
        "bin/show": program,
        "etc/changed": "from the base",
        "etc/kept": "from the base",
        "etc/twin": link("etc/kept", tarfile.LNKTYPE),
        "etc/removed": "from the base",
        "opaque/old": "from the base",
        "deep/" * 30 + "file": "from far below",
    }
    return pack(files, codec)


def upper_layer(codec: str) -> Layer:
    return pack(
        {
            "etc/.wh.removed": "",
            "etc/changed": "from above",
            "etc/link": link("kept", tarfile.SYMTYPE),
            "opaque/.wh..wh..opq": "",
            "opaque/new": "from above",
        },
        codec,
    )


def link(target: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo()
    member.type, member.linkname = kind, target
    return member


def pack(files: dict[str, str | bytes | tarfile.TarInfo], codec: str) -> Layer:
    """A layer of files, each after its folders, the way builders write them."""
    target, folders = io.BytesIO(), set[str]()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            for folder in parents(name):
                if folder not in folders:
                    folders.add(folder)
                    tar.addfile(stamped(tarfile.TarInfo(folder), 0o755, tarfile.DIRTYPE))
            if isinstance(content, tarfile.TarInfo):
                content.name = name
                # dockerd gives the mode of a hard link's header to the file, umoci does not
                mode = 0o777 if content.issym() else 0o644
                tar.addfile(stamped(content, mode, content.type))
                continue
            data = content.encode() if isinstance(content, str) else content
            member = stamped(tarfile.TarInfo(name), 0o755 if name == "bin/show" else 0o644)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    plain = target.getvalue()
    blob = squeeze(plain, codec)
    count = len(folders) + len(files)
    return Layer(blob, LAYER + SUFFIX[codec], sha256(blob), sha256(plain), len(plain), count)


def parents(name: str) -> list[str]:
    parts = name.split("/")[:-1]
    return ["/".join(parts[: number + 1]) for number in range(len(parts))]


def stamped(member: tarfile.TarInfo, mode: int, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    member.mode, member.type, member.mtime = mode, kind, 1_700_000_000
    return member
