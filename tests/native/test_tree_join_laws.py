"""A join of two trees beside a model of it in plain Python."""

from hypothesis import given, settings
from hypothesis import strategies as st
from support.joining import ONE, SECOND, TWO, ZEROS, joined
from support.merge_model import Flat, Model, raw_table
from support.tables import DIRECTORY, FILE, HARDLINK, SYMLINK

from ocifast._native.tree_join import kinship
from ocifast.tree.entry import Entry, EntryKind

FIFO, CHAR, BLOCK = EntryKind.FIFO, EntryKind.CHAR_DEVICE, EntryKind.BLOCK_DEVICE
EXAMPLES = settings().max_examples
THOROUGH = settings(max_examples=500 if EXAMPLES >= 100 else EXAMPLES)


def key(path):
    return tuple(path.rstrip(b"/").split(b"/"))


def inode(entries, number):
    """The row that says what a row is: its own, or that of the target of a link."""
    each = entries[number]
    if each.kind is not HARDLINK:
        return number
    numbers = {key(other.path): n for n, other in enumerate(entries)}
    target = numbers.get(key(each.link_target), number)
    return number if entries[target].kind is HARDLINK else target


def same_time(a, b):
    if a % SECOND and b % SECOND:
        return a == b
    return a // SECOND == b // SECOND


def kind_differs(a, b, digests):
    """What differs of two inodes because of what they are."""
    if a.kind is not b.kind:
        yield "TYPE"
    elif a.kind is FILE:
        if a.size != b.size:
            yield from ("SIZE", "CONTENT")
        elif a.size and ZEROS in digests:
            yield "UNREAD"
        elif a.size and len(set(digests)) > 1:
            yield "CONTENT"
    elif a.kind in {SYMLINK, HARDLINK} and a.link_target != b.link_target:
        yield "LINK"
    elif a.kind in {CHAR, BLOCK} and (a.dev_major, a.dev_minor) != (b.dev_major, b.dev_minor):
        yield "DEVICE"


def metadata_differs(a, b):
    if a.mode != b.mode and {a.kind, b.kind} != {SYMLINK}:
        yield "MODE"
    if (a.uid, a.gid) != (b.uid, b.gid):
        yield "OWNER"
    if not same_time(a.mtime_ns, b.mtime_ns):
        yield "MTIME"
    if a.xattrs != b.xattrs:
        yield "XATTRS"


def model(a, b, digests_a, digests_b):
    numbers_a = {key(each.path): n for n, each in enumerate(a)}
    numbers_b = {key(each.path): n for n, each in enumerate(b)}
    pairs, masks, unread = [], [], []
    for path in sorted(numbers_a.keys() | numbers_b.keys()):
        pair = numbers_a.get(path), numbers_b.get(path)
        mask = set()
        if None not in pair:
            names = [a[pair[0]], b[pair[1]]]
            rows = inode(a, pair[0]), inode(b, pair[1])
            inodes = [a[rows[0]], b[rows[1]]]
            digests = [
                given[32 * row : 32 * row + 32] if given is not None else ZEROS
                for given, row in zip((digests_a, digests_b), rows, strict=True)
            ]
            mask = set(kind_differs(*inodes, digests)) | set(metadata_differs(*inodes))
            targets = {each.link_target if each.kind is HARDLINK else None for each in names}
            if len(targets) > 1 and {each.kind for each in inodes} != {HARDLINK}:
                mask.add("LINKS")
            if "UNREAD" in mask:
                unread.append((len(pairs), *rows))
        pairs.append(pair)
        masks.append(mask)
    return pairs, masks, unread


NAMES = st.sampled_from([b"a", b"b", b"a-b", b"a b", b"a\x01", b"a\xff", b"a."])
TIMES = st.sampled_from([0, SECOND, SECOND + 5, 2 * SECOND - 1, -1, -SECOND, -SECOND - 1])
KINDS = st.sampled_from(
    [FILE] * 6 + [HARDLINK] * 4 + [SYMLINK] * 2 + [DIRECTORY, CHAR, BLOCK, FIFO]
)
XATTRS = st.sampled_from([(), (), (), ((b"user.a", b""),), ((b"user.a", b"1"), (b"user.b", b""))])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(b"/".join)


@st.composite
def additions(draw, known):
    kind = draw(KINDS)
    path = draw(st.one_of(PATHS, st.sampled_from(known or [b"a"])))
    made = Entry(path, kind, mode=draw(st.sampled_from([0o644, 0o644, 0o600])))
    made = made._replace(uid=draw(st.integers(0, 9)) // 9, gid=draw(st.integers(0, 9)) // 9)
    made = made._replace(mtime_ns=draw(TIMES), xattrs=draw(XATTRS))
    known.append(path)
    if kind is FILE:
        return made._replace(size=draw(st.sampled_from([0, 5, 5, 5, 6])))
    if kind is HARDLINK:
        return made._replace(link_target=draw(st.sampled_from(known)))
    if kind is SYMLINK:
        return made._replace(link_target=draw(st.sampled_from([b"no", b"none"])))
    if kind in {CHAR, BLOCK}:
        return made._replace(dev_major=draw(st.integers(0, 1)), dev_minor=draw(st.integers(0, 1)))
    return made


def as_entry(row: Flat) -> Entry:
    device = dict(zip(("dev_major", "dev_minor"), row.device, strict=True))
    said = {
        name: getattr(row, name) for name in ("size", "mode", "uid", "gid", "mtime_ns", "xattrs")
    }
    return Entry(row.path, row.kind, link_target=row.link, **said, **device)


@st.composite
def two_trees(draw):
    """Trees that have a layer in common, folders of which end with a slash or not."""
    trees, known = [], []
    common = [draw(additions(known)) for _ in range(draw(st.integers(0, 8)))]
    for _ in range(2):
        layer, state = list(common), Model()
        for _ in range(draw(st.integers(0, 4))):
            each = draw(additions(known))
            layer.insert(draw(st.integers(0, len(layer))), each)
        state.apply(layer)
        rows = [as_entry(each) for each in state.flattened()]
        if draw(st.booleans()):
            rows = [each._replace(path=each.path.rstrip(b"/")) for each in rows]
        trees.append(rows)
    return trees


DIGESTS = st.sampled_from([ZEROS, ONE, ONE, ONE, TWO])


@settings(THOROUGH)
@given(two_trees(), st.data())
def test_a_join_is_what_the_model_says(trees, data) -> None:
    digests = []
    for each in trees:
        drawn = b"".join(data.draw(DIGESTS) for _ in each)
        digests.append(drawn if data.draw(st.integers(0, 4)) else None)
    assert joined(*trees, *digests) == model(*trees, *digests)


@settings(THOROUGH)
@given(two_trees())
def test_a_tree_beside_itself_differs_in_nothing_but_what_was_not_read(trees) -> None:
    for each in trees:
        pairs, masks, _ = joined(each, each, ONE * len(each), ONE * len(each))
        assert pairs == [(number, number) for number in range(len(each))]
        assert not any(masks)
        assert set().union(*joined(each, each)[1]) <= {"UNREAD"}


@settings(THOROUGH)
@given(two_trees())
def test_folders_and_inodes_of_rows_are_those_of_the_model(trees) -> None:
    for each in trees:
        numbers = {key(row.path): n for n, row in enumerate(each)}
        above = [numbers.get(key(row.path)[:-1], -1) for row in each]
        parents, inodes = kinship(*raw_table(each))
        assert memoryview(parents).cast("i").tolist() == above
        assert memoryview(inodes).cast("I").tolist() == [inode(each, n) for n in range(len(each))]
