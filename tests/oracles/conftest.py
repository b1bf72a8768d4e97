"""Engines of other people, each started once for all tests, and the command itself.

Invariant: an engine that does not run here skips the test with the reason; in CI that is a failure.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from support import engine_images, engines
from support.images import Sample

COMMAND = [sys.executable, "-P", "-m", "ocifast"]
IN_CI = os.environ.get("CI", "").lower() == "true"
Start = Callable[..., AbstractContextManager[engines.Client]]


def started(start: Start, oracle: Callable[[str], str]) -> Iterator[engines.Client]:
    try:
        with start(oracle, sudo=IN_CI) as client:
            yield client
    except engines.CannotStart as reason:
        name = start.__name__
        if IN_CI:
            pytest.fail(f"{name} does not run, and in CI it has to: {reason}", pytrace=False)
        pytest.skip(f"{name} does not run here: {reason}")


@pytest.fixture(scope="session")
def docker(oracle: Callable[[str], str]) -> Iterator[engines.Client]:
    """A dockerd of our own."""
    yield from started(engines.dockerd, oracle)


@pytest.fixture(scope="session")
def podman(oracle: Callable[[str], str]) -> Iterator[engines.Client]:
    """A podman with storage of our own."""
    yield from started(engines.podman, oracle)


@pytest.fixture(params=["docker", "podman"])
def engine(request: pytest.FixtureRequest) -> Iterator[engines.Client]:
    """Each of both, without any image before and after the test."""
    client: engines.Client = request.getfixturevalue(request.param)
    yield client
    client.forget_images()


@pytest.fixture(scope="session")
def program(oracle: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What the images run."""
    return engine_images.compile_program(oracle("gcc"), tmp_path_factory.mktemp("program"))


@pytest.fixture
def image(program: bytes) -> Sample:
    """An image that runs and says whether all of it is there."""
    return engine_images.make_engine_image(program)


@pytest.fixture
def ocifast(tmp_path: Path) -> Callable[..., bytes]:
    """Run the real command in `tmp_path`; it has to succeed."""

    def run(*words: str | Path, stdin: bytes = b"") -> bytes:
        done = subprocess.run(
            [*COMMAND, *words], check=False, input=stdin, capture_output=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    return run


@pytest.fixture
def convert(ocifast: Callable[..., bytes]) -> Callable[..., dict[str, Any]]:
    """Run `ocifast convert`; gives its report of the only image."""

    def run(*words: str | Path, stdin: bytes = b"") -> dict[str, Any]:
        report = json.loads(ocifast("convert", "--json", *words, stdin=stdin))
        (found,) = report["images"]
        return found

    return run
