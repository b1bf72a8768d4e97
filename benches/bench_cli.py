"""The command line beside what people use: start-up, listing 200 000 entries, checking a list.

Whole processes are timed, interpreter included. BENCH_MB scales the layers; 600 is worth quoting.
Invariant: both sides of a comparison were held to the same result before they are timed.
"""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

OCIFAST = [sys.executable, "-P", "-m", "ocifast"]
BENCH_MB = int(os.environ.get("BENCH_MB", "16"))
MIB = 1 << 20
ENTRIES = 200_000


def entry(name: bytes, payload: bytes) -> bytes:
    """One regular file as a tar has it."""
    header = bytearray(512)
    header[: len(name)] = name
    header[100:156] = b"0000644\0000000000\0000000000\0%011o\00014600000000\0        " % (
        len(payload)
    )
    header[156:157] = b"0"
    header[257:265] = b"ustar\x0000"
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + payload + bytes(-len(payload) % 512)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Layers from a seed: `small.tar` of 1 MiB, `entries.tar` of headers, four `large-*.tar`."""
    folder = tmp_path_factory.mktemp("layers")
    generator = random.Random(2)
    end = bytes(1024)
    (folder / "small.tar").write_bytes(entry(b"file", generator.randbytes(MIB - 2048)) + end)
    with (folder / "entries.tar").open("wb") as file:
        for number in range(ENTRIES):
            file.write(entry(b"usr/share/doc/package-%d/file-%d" % (number // 50, number), b""))
        file.write(end)
    for layer in range(4):
        with (folder / f"large-{layer}.tar").open("wb") as file:
            for number in range(max(1, BENCH_MB // 4)):
                file.write(entry(b"file-%d" % number, generator.randbytes(MIB)))
            file.write(end)
    return folder


def tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def output(command: list[str], folder: Path) -> bytes:
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE).stdout


def timed(benchmark, command: list[str], folder: Path, size: int) -> None:
    benchmark.extra_info["uncompressed_bytes"] = size
    benchmark.pedantic(output, (command, folder), rounds=7, warmup_rounds=1)


@pytest.mark.benchmark(group="cli: start, hash of 1 MiB")
@pytest.mark.parametrize("program", ["ocifast", "sha256sum", "python"])
def bench_start(benchmark, corpus, program) -> None:
    commands = {
        "ocifast": [*OCIFAST, "hash", "small.tar"],
        "sha256sum": [tool("sha256sum"), "small.tar"],
        "python": [sys.executable, "-c", "pass"],
    }
    if program == "ocifast":
        assert output(commands[program], corpus) == output(commands["sha256sum"], corpus)
    timed(benchmark, commands[program], corpus, MIB)


@pytest.mark.benchmark(group="cli: table of 200 000 entries")
@pytest.mark.parametrize("program", ["ocifast", "ocifast-json", "tar", "bsdtar"])
def bench_ls(benchmark, corpus, program) -> None:
    commands = {
        "ocifast": [*OCIFAST, "ls", "entries.tar"],
        "ocifast-json": [*OCIFAST, "ls", "--json", "entries.tar"],
        "tar": ["tar", "-tvf", "entries.tar"],
        "bsdtar": ["bsdtar", "-tvf", "entries.tar"],
    }
    command = [tool(commands[program][0]), *commands[program][1:]]
    assert output(command, corpus).count(b"\n") == ENTRIES
    timed(benchmark, command, corpus, (corpus / "entries.tar").stat().st_size)


@pytest.mark.benchmark(group="cli: check a list of plain layers")
@pytest.mark.parametrize("program", ["ocifast", "sha256sum"])
def bench_check(benchmark, corpus, program) -> None:
    names = [f"large-{layer}.tar" for layer in range(4)]
    (corpus / "LIST").write_bytes(output([tool("sha256sum"), *names], corpus))
    commands = {
        "ocifast": [*OCIFAST, "hash", "-c", "LIST"],
        "sha256sum": [tool("sha256sum"), "-c", "LIST"],
    }
    assert output(commands["ocifast"], corpus) == output(commands["sha256sum"], corpus)
    timed(benchmark, commands[program], corpus, sum((corpus / n).stat().st_size for n in names))
