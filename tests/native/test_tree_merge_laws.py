"""A merge beside a model of it in plain Python, and what is true of every merge."""

import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.merge_model import Model, Refused, raw_table, taken
from support.merging import merge
from support.tables import DIRECTORY, FILE, HARDLINK, SYMLINK

from ocifast._native.tree_merge import TreeMerge
from ocifast.errors import FormatError
from ocifast.limits import Limits
from ocifast.tree.entry import Entry, EntryKind

FIFO, CHAR, BLOCK = EntryKind.FIFO, EntryKind.CHAR_DEVICE, EntryKind.BLOCK_DEVICE
EXAMPLES = settings().max_examples
THOROUGH = settings(max_examples=500 if EXAMPLES >= 100 else EXAMPLES)

NAMES = st.sampled_from([b"a", b"b", b"c", b"a-b"])
JOINTS = st.sampled_from([b"/"] * 6 + [b"//", b"/./"])
STARTS = st.sampled_from([b""] * 5 + [b"/", b"./", b"//"])
ENDS = st.sampled_from([b""] * 5 + [b"/", b"/.", b"//"])
STEPS = st.one_of(*[NAMES] * 6, st.just(b".."))
LAST_STEPS = st.one_of(*[NAMES] * 4, st.sampled_from([b"..", b".", b"../.."]))
XATTRS = st.lists(st.tuples(st.sampled_from([b"user.a", b"user.b"]), st.binary(max_size=2)))
KINDS = st.sampled_from(
    [FILE] * 4 + [DIRECTORY] * 4 + [HARDLINK] * 4 + [SYMLINK] * 3 + [FIFO, CHAR]
)
OPAQUE = b".wh..wh..opq"
ODD_PATHS = st.sampled_from([b"./", b"/", b".", b".wh..wh.aufs", b".wh..wh.plnk/a"])


@st.composite
def paths(draw, steps=NAMES, last=NAMES):
    found = draw(STARTS)
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2, 3]))):
        found += draw(steps) + draw(JOINTS)
    return found + draw(last)


@st.composite
def metadata(draw):
    return {
        "mode": draw(st.sampled_from([0, 0o644, 0o4755])),
        "uid": draw(st.integers(0, 2)),
        "gid": draw(st.integers(0, 2)),
        "mtime_ns": draw(st.integers(-2, 2)),
        "xattrs": tuple(draw(XATTRS)) if draw(st.integers(0, 9)) == 0 else (),
    }


@st.composite
def additions(draw, known):
    """An entry whose path is new, or one that is known so far; so are the targets of hard links."""
    kind, turn = draw(KINDS), draw(st.integers(0, 29))
    path = draw(paths(STEPS if turn < 3 else NAMES)) + draw(ENDS)
    if turn == 29:
        path = draw(ODD_PATHS)
    elif turn > 24 and known:
        path = draw(st.sampled_from(known))
    made = Entry(path, kind, **draw(metadata()))
    if kind is FILE:
        made = made._replace(size=draw(st.integers(0, 3)))
    if kind is CHAR:
        made = made._replace(dev_major=draw(st.integers(0, 2)), dev_minor=1)
    if kind is SYMLINK:
        made = made._replace(link_target=draw(paths(STEPS, LAST_STEPS)))
    if kind is HARDLINK:
        known = known or [b"a"]
        target = st.one_of(paths(STEPS, LAST_STEPS), *[st.sampled_from(known)] * 4)
        made = made._replace(link_target=draw(target))
    return made


@st.composite
def whiteouts(draw, known):
    path = draw(st.one_of(paths(), *[st.sampled_from(known or [b"a"])] * 4))
    folder, slash, name = path.rstrip(b"/.").rpartition(b"/")
    if draw(st.integers(0, 3)) == 0:
        hidden = draw(st.sampled_from([path + b"/", folder + slash])) + OPAQUE
    else:
        hidden = folder + slash + b".wh." + (name or b"a")
    return Entry(hidden, draw(st.sampled_from([FILE, FILE, FILE, DIRECTORY])))


@st.composite
def stacks(draw):
    layers, known = [], []
    for _ in range(draw(st.integers(1, 5))):
        layer = []
        for _ in range(draw(st.integers(1, 8))):
            make = whiteouts if known and draw(st.integers(0, 3)) == 0 else additions
            layer.append(draw(make(known)))
            known.append(layer[-1].path)
        known = [path for path in known if b".wh." not in path]
        layers.append(layer)
    return layers


LAYERS = stacks()


@settings(THOROUGH)
@given(LAYERS)
def test_a_stack_of_layers_comes_to_what_the_model_says(layers) -> None:
    state, model = TreeMerge(Limits()), Model()
    for each in layers:
        try:
            model.apply(each)
        except Refused as expected:
            named = re.escape(repr(os.fsdecode(expected.args[0])))
            with pytest.raises(FormatError, match=named):
                state.apply(*raw_table(each))
            return
        state.apply(*raw_table(each))
    assert (state.unmatched, state.dangling) == (model.unmatched, model.dangling)
    assert taken(*state.take()) == model.flattened()


@settings(THOROUGH)
@given(LAYERS, st.randoms(use_true_random=False))
def test_w04_where_whiteouts_stand_in_their_layer_makes_no_difference(layers, random) -> None:
    def mixed(layer):
        added = [each for each in layer if not each.is_whiteout]
        hiding = [each for each in layer if each.is_whiteout]
        random.shuffle(hiding)
        for each in hiding:
            added.insert(random.randrange(len(added) + 1), each)
        return added

    def outcome(stack):
        try:
            return [each[:-1] for each in merge(*stack)]
        except FormatError:
            return None

    assert outcome(layers) == outcome([mixed(each) for each in layers])


@settings(THOROUGH)
@given(LAYERS)
def test_w10_the_result_as_a_layer_of_its_own_comes_to_the_same(layers) -> None:
    """Links to nothing apart: alone in a layer they may find what came after them."""
    state = TreeMerge(Limits())
    try:
        for each in layers:
            state.apply(*raw_table(each))
    except FormatError:
        return
    if state.dangling:
        return
    first = state.take()
    again = TreeMerge(Limits())
    again.apply(*first[:2])
    expected = [each[:-1] for each in taken(*first)]
    assert [each[:-1] for each in taken(*again.take())] == expected
