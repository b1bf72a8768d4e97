"""Layers read to disk and placed as a tree, step by step: what `unpack` does, without an engine.

Invariant: the last of the folders is the root of the tree, those before it hold contents.
"""

from __future__ import annotations

import os

from ocifast._native.tar import TarParser
from ocifast._native.tar_files import FileCutter, FileWriter
from ocifast._native.tree_merge import TreeMerge
from ocifast._native.tree_meta import Metadata
from ocifast._native.tree_place import Placement
from ocifast.limits import DEFAULT_LIMITS

FOLDER = os.O_RDONLY | os.O_DIRECTORY
NO_HOME = 0xFFFFFFFF


def read(tar, contents, step=1 << 20):
    """What a placement needs of a layer; its files are written on the way."""
    parser = TarParser(DEFAULT_LIMITS)
    cutter, writer = FileCutter(parser), FileWriter(contents, Metadata())
    for at in range(0, len(tar), step):
        piece = tar[at : at + step]
        parser.feed(piece)
        writer.write(cutter.cut(len(piece)), piece)
    parser.finish()
    writer.close()
    return (contents, *parser.take_table(), writer.homes)


def placement(tars, folders, **options):
    """A placement of layers, each with a folder of contents, the last of `folders` is the root."""
    *contents, root = folders
    tars = [tars] if isinstance(tars, bytes) else tars
    layers = [read(tar, folder) for tar, folder in zip(tars, contents, strict=True)]
    merge = TreeMerge(DEFAULT_LIMITS)
    for _, rows, heap, _ in layers:
        merge.apply(rows, heap)
    rows, heap, source = merge.take()
    return Placement(rows, heap, source, layers, root, **options), len(rows) // 120


def make(tar, folders, **options):
    made, count = placement(tar, folders, **options)
    metadata = Metadata()
    made.folders(metadata)
    made.rest(metadata, 0, count)
    made.links(metadata)
    made.metadata(metadata)
    return made
