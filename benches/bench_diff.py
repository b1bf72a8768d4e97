"""Diffing: tables that are saved, and layers, beside the plain Python way.

    make bench BENCH_MB=600

What a row finds is compared with what tarfile and hashlib say before anything is timed. For trees
and layers of your own beside the shell, see peers_diff.py.
"""

import hashlib
import tarfile

import corpus
import pytest

import ocifast


@pytest.fixture(scope="session")
def layers(tmp_path_factory):
    """Two layers that share no file, by their seeds."""
    folder = tmp_path_factory.mktemp("diff")
    return corpus.make(folder, "gzip", 2).paths


@pytest.fixture(scope="session")
def indexes(layers, tmp_path_factory):
    folder = tmp_path_factory.mktemp("indexes")
    made = [folder / f"{number}.npz" for number in range(len(layers))]
    for layer, path in zip(layers, made, strict=True):
        ocifast.save_index(ocifast.index_layer(layer), path)
    return made


def by_ocifast(pair):
    with ocifast.diff(*pair) as found:
        return found.totals.added, found.totals.modified, found.totals.deleted


def by_stdlib(pair):
    """Names, sizes and digests of both in dictionaries; implied folders are not counted."""
    sides = []
    for path in pair:
        with tarfile.open(path) as tar:
            sides.append(
                {
                    member.name: (
                        member.mtime,
                        hashlib.sha256(tar.extractfile(member).read()).digest(),
                    )
                    for member in tar
                }
            )
    old, new = sides
    common = old.keys() & new.keys()
    return (
        len(new.keys() - old.keys()),
        sum(old[name] != new[name] for name in common),
        len(old.keys() - new.keys()),
    )


@pytest.fixture(scope="session")
def modified(layers, indexes):
    """How many files differ: what all ways find, or nothing is timed."""
    added, modified, deleted = by_stdlib(layers)
    found = by_ocifast(layers)
    assert found == by_ocifast(indexes)
    assert found[1] == modified
    assert found[0] >= added, "folders that no entry names count too"
    assert found[2] >= deleted
    return modified


@pytest.mark.benchmark(group="diff")
def test_diff_of_layers(benchmark, layers, modified):
    assert benchmark(by_ocifast, layers)[1] == modified


@pytest.mark.benchmark(group="diff")
def test_diff_of_layers_by_stdlib(benchmark, layers, modified):
    assert benchmark(by_stdlib, layers)[1] == modified


@pytest.mark.benchmark(group="diff-tables")
def test_diff_of_saved_tables(benchmark, indexes, modified):
    assert benchmark(by_ocifast, indexes)[1] == modified
