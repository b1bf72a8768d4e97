"""Passes of the engine that convert, run over files: jobs for them, and what is true afterwards."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

from ocifast import Engine, Limits
from ocifast.codecs.recipe import recipe
from ocifast.engine.plan import Job

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocifast.engine.pipeline import Listen, Outcome

CONVERT = "ocifast.ops.convert_pass:ConvertPass"
BLOB = "ocifast.ops.blob_pass:BlobPass"


def spec_of(how: str | None = None, *, level: int | None = None, **changes: Any) -> dict[str, Any]:
    """What a pass is told; `how` is gzip, zstd or none, or None to keep the bytes."""
    values = {
        "limits": asdict(Limits()),
        "profile": "compat",
        "table": False,
        "expected": {},
        "diff_id": None,
        "window": None,
        "recipe": None if how is None else recipe(how, level=level).to_dict(),
        "threads": 0,
    }
    return {**values, **changes}


class Piece(NamedTuple):
    """One job: a file to read, a file to write (None to verify only)."""

    source: str
    target: str | None
    spec: dict[str, Any]
    task: str = CONVERT

    def open(self) -> object:
        source = os.open(self.source, os.O_RDONLY)
        if self.target is None:
            return source
        flags = os.O_WRONLY | (0 if self.target.startswith("/dev/") else os.O_CREAT | os.O_TRUNC)
        return source, os.open(self.target, flags, 0o600)


def jobs_of(pieces: Sequence[Piece]) -> list[Job]:
    return [
        Job(index, piece.task, piece.spec, piece.open, float(os.path.getsize(piece.source)))
        for index, piece in enumerate(pieces)
    ]


def run(engine: Engine, *pieces: Piece, listen: Listen | None = None) -> list[Outcome]:
    """Outcomes in the order of the pieces."""
    return sorted(engine.run(jobs_of(pieces), listen), key=lambda outcome: outcome.job)


def payload_of(engine: Engine, piece: Piece) -> dict[str, Any]:
    """What one piece gives; its error is raised."""
    (outcome,) = run(engine, piece)
    if outcome.error is not None:
        raise outcome.error
    assert outcome.descriptors == []
    return outcome.payload
