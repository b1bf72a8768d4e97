"""What a squashed layer is: on top of the layers below it, it makes the tree of all of them."""

from hypothesis import given, settings
from support.layer_stacks import STACKS, placed, rows_of

from ocifast.errors import FormatError
from ocifast.limits import Limits
from ocifast.ops.squash_rows import applied, rows_between
from ocifast.tree.entry import EntryKind

EXAMPLES = settings().max_examples
THOROUGH = settings(max_examples=200 if EXAMPLES >= 100 else EXAMPLES)


def tree_of(tables):
    return applied(tables, Limits())


def check_range(tables, first, whole) -> None:
    """Of one range: the law, and what engines ask of a layer."""
    lower = tree_of(tables[:first])
    new = rows_between(lower, whole).table
    assert rows_of(tree_of([*tables[:first], new])) == rows_of(whole)
    below = {each.path.rstrip(b"/"): each for each in lower.table}
    above = {each.path.rstrip(b"/") for each in whole.table}
    met: set[bytes] = set()
    for each in new:
        path = each.path.rstrip(b"/")
        folder, _, name = path.rpartition(b"/")
        assert path not in met, "a path has one entry"
        assert not folder or folder in met or below[folder].kind is EntryKind.DIRECTORY, (
            "folders come first"
        )
        if each.is_whiteout and not each.is_opaque:
            hidden = path[: len(path) - len(name)] + name.removeprefix(b".wh.")
            assert hidden in below
            assert hidden not in above
        if each.kind is EntryKind.HARDLINK:
            assert each.link_target in met or each.link_target in below, "links come last"
        met.add(path)


@settings(THOROUGH)
@given(STACKS)
def test_w10_a_squashed_range_comes_to_the_same_tree(layers) -> None:
    tables = [placed(layer) for layer in layers]
    try:
        whole = tree_of(tables)
    except FormatError:
        return
    for first in range(len(tables)):
        check_range(tables, first, whole)
