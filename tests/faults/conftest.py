"""What tests of faults share: sources, made once, and a stage on which a case is played."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.faults import CASES, Stage, write_sources

MEMORY = "/dev/shm"


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    write_sources(folder)
    return folder


@pytest.fixture
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies loses nothing of what it has written, synced or not."""
    monkeypatch.setattr("os.fsync", lambda _: None)
    monkeypatch.setattr("os.fdatasync", lambda _: None)


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory if there can be one: conversions by the hundred would wait for a disk."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield Path(folder)


@pytest.fixture
def play(sources: Path, scratch: Path) -> Callable[[str], Stage]:
    """``play("oci")`` gives the stage of that case."""
    return lambda name: Stage(sources, scratch, CASES[name])
