"""Stacks of layers through TreeMerge: what comes out, told shortly, and held against the model."""

import os

import pytest

from ocifast._native.tree_merge import TreeMerge
from ocifast.errors import FormatError
from ocifast.limits import Limits
from support.merge_model import Refused, merged, raw_table, taken
from support.tables import HARDLINK, SYMLINK, entry


def merge(*layers, limits=None, **options):
    """The rows of a stack, as the model has them."""
    tree = TreeMerge(limits or Limits())
    for each in layers:
        tree.apply(*raw_table(each), **options)
    return taken(*tree.take())


def link(path, target, **fields):
    return entry(path, SYMLINK, link_target=target.encode(), **fields)


def hard(path, target, **fields):
    return entry(path, HARDLINK, link_target=target.encode(), **fields)


def tree(*layers):
    """Names, with the targets of links."""
    arrows = {SYMLINK: b" -> ", HARDLINK: b" = "}
    rows = merge(*layers)
    assert rows == merged(layers)
    return [os.fsdecode(each.path + arrows.get(each.kind, b"") + each.link) for each in rows]


def files(*paths):
    return [link(*each) if isinstance(each, tuple) else entry(each) for each in paths]


def fails(*layers):
    """The path that is named."""
    with pytest.raises(Refused) as expected:
        merged(layers)
    with pytest.raises(FormatError) as caught:
        merge(*layers)
    path = os.fsdecode(expected.value.args[0])
    assert repr(path) in str(caught.value)
    return path


BELOW = files("etc/a", "etc/b", "etc/sub/c", ("lnk", "etc"), "top")
