"""Tar headers a second, tarfile beside ours. `pytest benches/bench_tar.py`.

The archives are headers only: payload is skipped at the speed of memory by everybody. Figures are
of the fastest round. Every row first checks that its names are those tarfile lists.
"""

import io
import os
import tarfile
from functools import cache

import pytest

from ocifast._native.tar import TarParser
from ocifast.formats.tar import EntryTable
from ocifast.limits import Limits

ENTRIES = 50_000
FEED_BYTES = 1 << 20
FORMATS = {
    "gnu": (tarfile.GNU_FORMAT, {}, ""),
    "gnu-long-names": (tarfile.GNU_FORMAT, {}, "a-folder-with-a-long-name/" * 4),
    "pax-xattr": (tarfile.PAX_FORMAT, {"SCHILY.xattr.user.key": "value"}, ""),
}


@cache
def archive(name):
    """The archive and the names in it."""
    kind, records, prefix = FORMATS[name]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as tar:
        for i in range(ENTRIES):
            info = tarfile.TarInfo(f"{prefix}usr/lib/python3/part{i // 100}/file-number-{i}.py")
            info.pax_headers = records
            tar.addfile(info)
    data = out.getvalue()
    return data, by_tarfile(data)


def by_tarfile(data):
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        return [os.fsencode(name) for name in tar.getnames()]


def parse(data, *, keep, strict=False):
    parser = TarParser(Limits(), keep=keep, strict=strict)
    view = memoryview(data)
    for at in range(0, len(data), FEED_BYTES):
        parser.feed(view[at : at + FEED_BYTES])
    parser.finish()
    return parser


def table(data):
    return EntryTable(*parse(data, keep=True).take_table())


READERS = {
    "tarfile": by_tarfile,
    "ocifast-count": lambda data: parse(data, keep=False),
    "ocifast-table": table,
    "ocifast-strict": lambda data: parse(data, keep=True, strict=True),
    "ocifast-entries": lambda data: list(table(data)),
}


def record(benchmark):
    benchmark.extra_info["headers/s"] = round(ENTRIES / benchmark.stats.stats.min)


@pytest.mark.parametrize("who", READERS)
@pytest.mark.parametrize("name", FORMATS)
def test_read(benchmark, name, who):
    """From bytes to: names, a count, a table, a table of a strict reading, a list of entries."""
    benchmark.group = f"tar read {name}"
    data, names = archive(name)
    assert [entry.path for entry in table(data)] == names
    rounds = 1 if who == "tarfile" else 9
    benchmark.pedantic(READERS[who], args=(data,), rounds=rounds, warmup_rounds=1)
    record(benchmark)


@pytest.mark.parametrize("way", ["blob", "array", "iterate"])
def test_table(benchmark, way):
    """What becomes of a table: a checked blob of another process, numpy columns, entries."""
    benchmark.group = "tar table"
    made = table(archive("gnu")[0])
    blob = made.to_bytes()
    assert EntryTable.from_buffer(blob) == made
    ways = {
        "blob": lambda: EntryTable.from_buffer(blob),
        "array": lambda: int(made.array["mode"].sum()),
        "iterate": lambda: [entry.path for entry in made],
    }
    benchmark.pedantic(ways[way], rounds=9, warmup_rounds=1)
    record(benchmark)
