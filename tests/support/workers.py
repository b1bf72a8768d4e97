"""An engine under test: three layers it always has to hash, and probes to run beside them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ocifast import hash_layers
from ocifast.engine.plan import Job
from support import probe
from support.layers import check, make_layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocifast import Engine
    from ocifast.engine.pipeline import Outcome

LAYERS = [
    make_layer(codec, seed, 60, 60_000) for seed, codec in enumerate(["gzip", "plain", "zstd"])
]


def works(engine: Engine, paths: Sequence[str]) -> None:
    """The engine hashes the files of LAYERS."""
    for report, layer in zip(hash_layers(paths, engine=engine), LAYERS, strict=True):
        check(report, layer)


def open_null() -> int:
    return os.open("/dev/null", os.O_RDONLY)


def jobs(*specs: dict[str, Any]) -> list[Job]:
    """A probe for each spec; one fills a worker."""
    return [Job(index, probe.TASK, spec, open_null, 1.0, 4) for index, spec in enumerate(specs)]


def run_probe(engine: Engine, *specs: dict[str, Any]) -> list[Outcome]:
    """Outcomes in the order of the specs."""
    return sorted(engine.run(jobs(*specs)))
