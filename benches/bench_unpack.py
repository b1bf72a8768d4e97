"""Unpacking and squashing made-up layers, beside tarfile.

    make bench BENCH_MB=600

The tree is held against what tarfile makes of the same layers before anything is timed. For images
of your own beside umoci and GNU tar, see peers_unpack.py and peers_squash.py.
"""

import itertools
import os
import shutil
import tarfile

import corpus
import pytest

import ocifast

ROUNDS = 3


@pytest.fixture(scope="session")
def layers(tmp_path_factory):
    """Two layers that share no file, by their seeds."""
    folder = tmp_path_factory.mktemp("unpack")
    return corpus.make(folder, "gzip", 2).paths


def by_ocifast(layers, dest):
    ocifast.unpack(layers, dest, rootless=os.geteuid() != 0)


def by_stdlib(layers, dest):
    """As safe as tarfile can be asked to be; nothing is hashed."""
    for layer in layers:
        with tarfile.open(layer) as tar:
            tar.extractall(dest, filter="tar")


@pytest.fixture(scope="session")
def proven(layers, tmp_path_factory):
    """The layers, if both ways make the same files of them."""
    folder = tmp_path_factory.mktemp("proven")
    by_ocifast(layers, folder / "ours")
    by_stdlib(layers, folder / "theirs")
    # tarfile gives implied folders the time of now
    with ocifast.diff(folder / "ours", folder / "theirs", ignore=("mtime",)) as found:
        assert found.totals.added == found.totals.modified == found.totals.deleted == 0
    return layers


@pytest.fixture
def fresh(tmp_path):
    """Gives arguments for a round: a folder that is not there; that of the round before goes."""
    numbers = itertools.count()

    def setup_for(layers):
        def setup():
            number = next(numbers)
            shutil.rmtree(tmp_path / str(number - 1), ignore_errors=True)
            return (layers, tmp_path / str(number)), {}

        return setup

    return setup_for


@pytest.mark.benchmark(group="unpack")
def test_unpack(benchmark, proven, fresh):
    benchmark.pedantic(by_ocifast, setup=fresh(proven), rounds=ROUNDS)


@pytest.mark.benchmark(group="unpack")
def test_unpack_by_stdlib(benchmark, proven, fresh):
    benchmark.pedantic(by_stdlib, setup=fresh(proven), rounds=ROUNDS)
