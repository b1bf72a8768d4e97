"""What tests of the command line share: the command itself, and small layers.

Invariant: no test of this folder can pass while anything prints a traceback.
"""

import contextlib
import gzip
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ocifast.cli import main

COMMAND = [sys.executable, "-P", "-m", "ocifast"]


class Done(NamedTuple):
    """A command that has ended."""

    code: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.decode("utf-8", "surrogateescape").splitlines()

    @property
    def complaints(self) -> list[str]:
        return self.err.splitlines()


def finish(code: int, out: bytes, err: bytes) -> Done:
    text = err.decode("utf-8", "surrogateescape")
    assert "Traceback" not in text, text
    assert "Exception ignored" not in text, text
    return Done(code, out, text)


@pytest.fixture
def ocifast(tmp_path: Path) -> Callable[..., Done]:
    """Run the real command in `tmp_path`."""

    def run(*arguments: str | bytes, **options: Any) -> Done:
        if "stdin" not in options:
            options.setdefault("input", b"")
        options = {"cwd": tmp_path, "stdout": subprocess.PIPE, "timeout": 120} | options
        done = subprocess.run(
            [*COMMAND, *arguments], check=False, stderr=subprocess.PIPE, **options
        )
        return finish(done.returncode, done.stdout or b"", done.stderr)

    return run


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start the real command; it is killed when the test forgets it."""
    started = []

    def begin(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        options = {"cwd": tmp_path, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        started.append(subprocess.Popen([*COMMAND, *arguments], **options))
        return started[-1]

    yield begin
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Callable[..., Done]:
    """Run `main` in this process and `tmp_path`: for tests that need it a thousand times."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | bytes) -> Done:
        code = main([os.fsdecode(argument) for argument in arguments])
        return finish(code, *capsysbinary.readouterr())

    return run


class Layers:
    """Makes layers in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def tar(self, *members: tarfile.TarInfo | str, payload: bytes = b"hello\n") -> bytes:
        """A tar with two zero blocks and no more; regular files hold the payload."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for member in members or ("etc/hostname",):
                info = tarfile.TarInfo(member) if isinstance(member, str) else member
                if info.isreg() and not info.name.split("/")[-1].startswith(".wh."):
                    info.size = len(payload)
                tar.addfile(info, io.BytesIO(payload))
        body = out.getvalue().rstrip(b"\0")
        return body + bytes(-len(body) % 512) + bytes(1024)

    def write(self, name: str | bytes, data: bytes) -> bytes:
        """Write a file; gives the name back."""
        raw = os.fsencode(name)
        with open(os.path.join(os.fsencode(self.folder), raw), "wb") as file:
            file.write(data)
        return raw

    def gzip(self, name: str | bytes = "layer.tar.gz", *members: tarfile.TarInfo | str) -> bytes:
        """Write a gzip layer; gives the blob."""
        blob = gzip.compress(self.tar(*members), mtime=0)
        self.write(name, blob)
        return blob


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    return Layers(tmp_path)
