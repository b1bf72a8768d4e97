"""Every chain of up to four links, every way to act at its end, on whatever is there: all of them.

What must come of each is said by the model of a merge (`support.merge_model`), which no file system
takes part in; the tree on disk has to be that, and the canary what it was. The links come with the
same layer, with one below, or are in the destination already.
"""

import itertools
import os
import tempfile
from pathlib import Path

import pytest
from support.canary import IS_ROOT
from support.hostile import Ground, content_of, layer
from support.merge_model import NOWHERE, Model, Refused, flat
from support.merging import hard, link
from support.tables import DIRECTORY, FILE, HARDLINK, entry

from ocifast import FormatError, unpack
from ocifast._native.tree_walk import walk
from ocifast.formats.tar import EntryTable

FINALS = {
    "absolute": "{victim}",
    "above": "../../../victim",
    "one above": "../victim",
    "root": "/",
    "here": ".",
    "itself": "l0",
    "folder": "d/../d",
    "nowhere": "no/such",
}
FORMS = ("/l{}", "../d/../l{}", "l{}")
HOPS = {"plain": FORMS[2:], "mixed": FORMS}
CHAINS = [
    (length, hop, final)
    for length, hop, final in itertools.product(range(1, 5), HOPS, FINALS)
    if length > 1 or hop == "plain"
]
XATTRS = ((b"user.evil", b"1"),)
OPERATIONS = {
    "create": [entry("l0/new", size=5), entry("l0/sub/new", size=6)],
    "overwrite": [entry("l0/secret", size=7)],
    "whiteout": [entry("l0/.wh.secret"), entry("l0/sub/.wh.name")],
    "opaque": [entry("l0/.wh..wh..opq"), entry("l0/sub/.wh..wh..opq")],
    "chmod": [entry("l0/sub/", mode=0o7777), entry("l0/secret/", mode=0o7777)],
    "chown": [entry("l0/sub/", uid=4242, gid=4242), entry("l0/name", uid=4242)],
    "utime": [entry("l0/sub/", mtime_ns=1), entry("l0/name", mtime_ns=1)],
    "xattr": [entry("l0/sub/", xattrs=XATTRS), entry("l0/name", xattrs=XATTRS)],
    "hardlink": [hard("stolen", "l0/secret"), hard("l0/name", "top"), entry("stolen", size=3)],
}
STATES = {
    "nothing": [],
    "file": [entry("l0/secret", size=4)],
    "folder": [entry("l0/secret/in/", mode=0o700), entry("l0/secret/file", size=2)],
    "link": [link("l0/secret", "{victim}/secret"), link("l0/sub", "../../victim/sub")],
    "hard link": [hard("l0/secret", "top"), hard("l0/sub/name", "top")],
}
PLACES = ["same layer", "layer below", "kept"]
BASE = [entry("d/", mode=0o755), entry("top", size=9)]
LEAST, MEMORY = 5000, "/dev/shm"


def links_of(chain, ground):
    """`l0` leads to `l1` and so on, the last one to the end of the chain."""
    length, hop, final = chain
    forms = itertools.cycle(HOPS[hop])
    targets = [next(forms).format(number + 1) for number in range(length - 1)]
    targets.append(FINALS[final].format(victim=ground.victim))
    return [link(f"l{number}", target) for number, target in enumerate(targets)]


def state_of(name, ground):
    victim = os.fsencode(ground.victim)
    return [
        each._replace(link_target=each.link_target.replace(b"{victim}", victim))
        for each in STATES[name]
    ]


class Field:
    """Where one archive after the other is unpacked; each replaces what the one before left."""

    def __init__(self, ground):
        self.ground = ground
        self.archives = self.refused = 0

    def play(self, place, below, operation):
        """Unpack what is below and what comes on top of it, and hold it against the model."""
        layers = [[*below, *operation]] if place == "same layer" else [below, operation]
        expected = expected_of(layers)
        if place == "kept" and expected_of([below]) is not None:
            self.unpack([below], replace=True)
            self.end(layers, expected, keep=True)
        else:
            self.end(layers, expected, replace=True)

    def end(self, layers, expected, *, keep=False, replace=False):
        before = None if expected else self.rows()
        try:
            self.unpack(layers[-1:] if keep else layers, keep=keep, replace=replace)
        except FormatError:
            assert expected is None
            assert self.rows() == before
            self.refused += 1
        else:
            assert expected is not None
            found, wanted = self.rows(), [seen(row) for row in expected]
            if keep:  # a folder that stays is of the time when something was made in it
                found, wanted = map(without_folder_times, (found, wanted))
            assert found == wanted
            self.check_contents(layers, expected)

    def unpack(self, layers, **options):
        sources = [layer(*parts) for parts in layers]
        self.archives += 1
        if self.archives % 100 == 0:
            self.ground.canary.check()
        unpack(sources, self.ground.dest, workers=0, rootless=not IS_ROOT, **options)

    def rows(self):
        """What is in the destination."""
        if not self.ground.dest.exists():
            return []
        root = os.open(self.ground.dest, os.O_RDONLY | os.O_DIRECTORY)
        try:
            rows, heap, left_out = walk(root)
        finally:
            os.close(root)
        assert left_out == []
        return [seen(flat(each, NOWHERE)) for each in EntryTable(rows, heap)]

    def check_contents(self, layers, expected):
        for row in expected:
            if row.kind is FILE:
                number, at = row.source
                path = self.ground.dest / os.fsdecode(row.path)
                status = os.lstat(path)
                assert (status.st_dev, status.st_ino) not in self.ground.canary.inodes
                assert path.read_bytes() == content_of(layers[number][at])


def seen(row):
    """A row without what only root can set, and without where it is from."""
    row = row._replace(source=NOWHERE)
    return row if IS_ROOT else row._replace(uid=0, gid=0, xattrs=())


def without_folder_times(rows):
    return [row._replace(mtime_ns=0) if row.kind is DIRECTORY else row for row in rows]


def expected_of(layers):
    """What there has to be; None when the layers have to be refused."""
    model = Model()
    try:
        for each in layers:
            model.apply(each)
    except Refused:
        return None
    rows = model.flattened()
    names = {row.path for row in rows}
    return None if any(row.kind is HARDLINK and row.link not in names for row in rows) else rows


@pytest.fixture(scope="module")
def field():
    """In memory where there can be a file system there."""
    where = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=where) as folder:
        found = Field(Ground(Path(folder)))
        yield found
        found.ground.canary.check()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_p05_whatever_is_done_at_the_end_of_a_chain_is_done_inside_the_root(
    name, place, field
) -> None:
    before = field.archives
    chains = [chain for chain in CHAINS if place != "kept" or chain[0] in {1, 3}]
    for chain, state in itertools.product(chains, STATES):
        below = [*BASE, *links_of(chain, field.ground), *state_of(state, field.ground)]
        field.play(place, below, OPERATIONS[name])
    field.ground.canary.check()
    assert os.listdir(field.ground.work) == sorted(["root", "root-evil", "victim"])
    assert field.archives - before >= len(chains) * len(STATES)


def test_there_were_enough_of_them_and_most_were_not_just_refused(field) -> None:
    if field.archives < LEAST:
        pytest.skip("not all of the others were run")
    assert field.refused < field.archives // 3
