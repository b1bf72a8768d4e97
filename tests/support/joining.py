"""Joins of two trees from entries, told in words."""

import struct

from ocifast._native import tree_join
from ocifast._native.tree_join import join
from support.merge_model import raw_table

SECOND = 10**9
ZEROS = bytes(32)
ONE, TWO = b"\1" * 32, bytes(31) + b"\2"
BITS = (
    *("TYPE", "MODE", "OWNER", "SIZE", "MTIME", "LINK"),
    *("DEVICE", "XATTRS", "LINKS", "CONTENT", "UNREAD"),
)


def words(mask):
    return {name for name in BITS if mask & getattr(tree_join, name)}


def joined(a, b, digests_a=None, digests_b=None):
    """Pairs of row numbers, None where there is none; what differs; and what is to be read."""
    found = join(*raw_table(a), digests_a, *raw_table(b), digests_b)
    pairs = [
        tuple(None if number == -1 else number for number in pair)
        for pair in struct.iter_unpack("=ii", bytes(found[0]))
    ]
    masks = [words(mask) for (mask,) in struct.iter_unpack("=H", bytes(found[1]))]
    return pairs, masks, list(struct.iter_unpack("=III", bytes(found[2])))


def differs(a, b, *digests):
    """What differs of the only entry of two trees."""
    (pair,), (mask,), unread = joined([a], [b], *digests)
    assert pair == (0, 0)
    assert unread == ([(0, 0, 0)] if "UNREAD" in mask else [])
    return mask
