"""What tests of the engine share."""

import pytest
from support import probe
from support.mixture import results, write_mixture
from support.workers import LAYERS


@pytest.fixture
def no_job_is_small(monkeypatch):
    """Every job is worth a worker, and forked workers know the probe."""
    monkeypatch.setattr("ocifast.engine.SMALL_BYTES", 0)
    probe.install()


@pytest.fixture(scope="session")
def paths(tmp_path_factory):
    """Files of `support.workers.LAYERS`."""
    folder = tmp_path_factory.mktemp("layers")
    for number, layer in enumerate(LAYERS):
        (folder / str(number)).write_bytes(layer.blob)
    return [str(folder / str(number)) for number in range(len(LAYERS))]


@pytest.fixture(scope="session")
def mixture(tmp_path_factory):
    """Paths of sound and broken layers, many of them."""
    return write_mixture(tmp_path_factory.mktemp("mixture"))


@pytest.fixture(scope="session")
def truth(mixture):
    """What they give without an engine."""
    return results(mixture, workers=0)
