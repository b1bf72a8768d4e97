"""Contents of trees: digests are hashlib's, differences filecmp's, and what changed is named."""

import filecmp
import hashlib
import os
import random
import signal
import sys
import threading
from array import array

import numpy as np
import pytest
from support.packing import make_tree

from ocifast._native.tree_content import differing, digests
from ocifast._native.tree_walk import walk
from ocifast.errors import FormatError, TreeError
from ocifast.formats.tar import ROW, EntryTable
from ocifast.tree.entry import EntryKind

KIB, MIB = 1 << 10, 1 << 20
BORDERS = [n + d for n in (64 * KIB, 128 * KIB, 256 * KIB, 512 * KIB, MIB) for d in (-1, 0, 1)]


class Tree:
    """A folder, its table, and its regular files by index."""

    def __init__(self, top):
        self.top = os.fspath(top)
        self.root = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
        rows, heap, _ = walk(self.root)
        self.table = rows, heap
        self.entries = list(EntryTable(rows, heap))
        self.files = [n for n, each in enumerate(self.entries) if each.kind is EntryKind.FILE]

    def __iter__(self):  # how the functions take it
        return iter((self.root, *self.table))

    def index(self, name):
        return next(n for n, each in enumerate(self.entries) if each.name == name)

    def path(self, index):
        return os.path.join(os.fsencode(self.top), self.entries[index].path)

    def expected(self, which):
        found = b""
        for index in which:
            with open(self.path(index), "rb") as file:
                found += hashlib.file_digest(file, "sha256").digest()
        return found


@pytest.fixture
def tree_of():
    made = []

    def make(top):
        made.append(Tree(top))
        return made[-1]

    yield make
    for each in made:
        os.close(each.root)


def u32(*numbers):
    return array("I", numbers)


def fill(top, sizes, seed=1):
    """Files of these sizes, nested, with names of all kinds."""
    rng = random.Random(seed)
    for number, size in enumerate(sizes):
        folder = top / "/".join(rng.choice("abc") for _ in range(number % 5))
        folder.mkdir(parents=True, exist_ok=True)
        name = os.fsencode(str(number)) + rng.choice([b"", b"\xff\xfe", "ü".encode(), b"\n "])
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(rng.randbytes(size))
    with (top / "sparse").open("wb") as file:
        file.truncate(3 * MIB + 5)
        file.seek(MIB + 77)
        file.write(b"data")
    return top


def many_sizes(seed=2):
    rng = random.Random(seed)
    sizes = [0, 0, 1, 55, 56, 63, 64, 65, 5 * MIB, *BORDERS]
    sizes += [int(2 ** rng.uniform(0, 16)) for _ in range(200)]
    rng.shuffle(sizes)
    return sizes


def open_files():
    return len(os.listdir("/proc/self/fd"))


# ---- digests ----


@pytest.mark.parametrize("order", ["of the tree", "backwards", "any", "some", "repeated"])
def test_digests_are_those_of_hashlib_in_any_order(tmp_path, tree_of, order) -> None:
    tree = tree_of(fill(tmp_path, many_sizes()))
    rng, which = random.Random(3), tree.files
    if order == "backwards":
        which = which[::-1]
    elif order == "any":
        which = rng.sample(which, len(which))
    elif order == "some":
        which = sorted(rng.sample(which, len(which) // 3))
    elif order == "repeated":
        which = rng.choices(which, k=300)
    before = open_files()
    assert digests(*tree, u32(*which)) == tree.expected(which)
    assert open_files() == before


@pytest.mark.parametrize("sizes", [[0], [1], [128 * KIB], [MIB] * 9, [7] * 200, [127 * KIB] * 12])
def test_files_of_one_size_are_hashed(tmp_path, tree_of, sizes) -> None:
    tree = tree_of(fill(tmp_path, sizes))
    assert digests(*tree, u32(*tree.files)) == tree.expected(tree.files)


def test_a_tree_with_a_bit_of_everything_is_hashed(tmp_path, tree_of) -> None:
    tree = tree_of(make_tree(tmp_path / "tree"))
    assert digests(*tree, u32(*tree.files)) == tree.expected(tree.files)


def test_deep_files_are_reached(tmp_path, tree_of) -> None:
    path = tmp_path
    for level in range(150):
        path = path / "d"
        path.mkdir()
        (path / "a").write_text(f"{level}")
        (path / "z").write_text(f"{level}")
    tree = tree_of(tmp_path)
    for which in (tree.files, tree.files[::-1], random.Random(4).sample(tree.files, 300)):
        assert digests(*tree, u32(*which)) == tree.expected(which)
    pairs = [number for index in tree.files for number in (index, index)]
    assert not any(differing(*tree, *tree, u32(*pairs)))


# ---- two folders ----


def changed_copy(top, other, seed=5):
    """The same names and sizes; of one file in three a byte is another one."""
    rng = random.Random(seed)
    for at, _, names in os.walk(os.fsencode(top)):
        to = os.path.join(os.fsencode(other), os.path.relpath(at, os.fsencode(top)))
        os.makedirs(to, exist_ok=True)
        for name in names:
            with open(os.path.join(at, name), "rb") as file:
                content = bytearray(file.read())
            if content and rng.random() < 1 / 3:
                content[rng.choice([0, -1, len(content) // 2, rng.randrange(len(content))])] ^= 1
            with open(os.path.join(to, name), "wb") as file:
                file.write(content)
    return other


def test_differences_are_those_of_filecmp(tmp_path, tree_of) -> None:
    one = tree_of(fill(tmp_path / "one", many_sizes()))
    two = tree_of(changed_copy(one.top, tmp_path / "two"))
    assert one.files == two.files
    before, rng = open_files(), random.Random(6)
    for files in (one.files, one.files[::-1], rng.sample(one.files, len(one.files))):
        pairs = [number for index in files for number in (index, index)]
        expected = [not filecmp.cmp(one.path(n), two.path(n), shallow=False) for n in files]
        assert list(differing(*one, *two, u32(*pairs))) == expected
        assert 0 < sum(expected) < len(expected)
    assert open_files() == before


def test_files_of_other_names_are_compared(tmp_path, tree_of) -> None:
    (tmp_path / "one/a").mkdir(parents=True)
    (tmp_path / "two").mkdir()
    (tmp_path / "one/a/x").write_text("same")
    (tmp_path / "two/y").write_text("same")
    (tmp_path / "two/z").write_text("else")
    one, two = tree_of(tmp_path / "one"), tree_of(tmp_path / "two")
    x, y, z = one.index("a/x"), two.index("y"), two.index("z")
    assert differing(*one, *two, u32(x, y, x, z, x, y)) == b"\0\1\0"
    assert differing(*two, *two, u32(y, z, z, z)) == b"\1\0"


@pytest.mark.parametrize("at", [0, 1, 128 * KIB - 1, 128 * KIB, 300_000, 3 * 128 * KIB - 1])
def test_a_single_byte_tells(tmp_path, tree_of, at) -> None:
    content = bytearray(3 * 128 * KIB)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(content)
        content[at] ^= 0x80
    assert differing(*tree_of(tmp_path / "one"), *tree_of(tmp_path / "two"), u32(0, 0)) == b"\1"


def test_two_names_of_an_inode_are_not_read(tmp_path, tree_of) -> None:
    """Two files of a tebibyte would take minutes."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "one/file").touch()
    os.truncate(tmp_path / "one/file", 1 << 40)
    os.link(tmp_path / "one/file", tmp_path / "two/file")
    one, two = tree_of(tmp_path / "one"), tree_of(tmp_path / "two")
    assert differing(*one, *two, u32(0, 0)) == b"\0"
    assert differing(*one, *one, u32(0, 0)) == b"\0"


# ---- arguments ----


def test_no_files_have_no_digests(tmp_path, tree_of) -> None:
    tree = tree_of(fill(tmp_path, [1]))
    for nothing in (b"", u32(), np.empty(0, np.uint32), np.empty((0, 2), np.uint32)):
        assert digests(*tree, nothing) == b""
        assert differing(*tree, *tree, nothing) == b""
    assert digests(tree.root, b"", b"", b"") == b""


def test_indices_are_any_buffer_of_u32(tmp_path, tree_of) -> None:
    tree = tree_of(fill(tmp_path, many_sizes()[:20]))
    which, expected = np.array(tree.files, np.uint32), tree.expected(tree.files)
    unaligned = memoryview(b"?" + which.tobytes())[1:]
    for same in (which, which.tobytes(), u32(*tree.files), memoryview(which), unaligned):
        assert digests(*tree, same) == expected
    pairs = np.column_stack([which, which])
    for same in (pairs, pairs.ravel(), pairs.tobytes()):
        assert differing(*tree, *tree, same) == bytes(len(which))


@pytest.mark.parametrize(
    "bad",
    [b"123", np.zeros(2, np.uint64), np.zeros(4, np.uint16), np.zeros((4, 2), np.uint32)[:, :1]],
    ids=["half a number", "u64", "u16", "gaps"],
)
def test_what_is_no_buffer_of_u32_is_refused(tmp_path, tree_of, bad) -> None:
    tree = tree_of(fill(tmp_path, [1]))
    with pytest.raises(ValueError, match="u32"):
        digests(*tree, bad)
    with pytest.raises(ValueError, match="u32"):
        differing(*tree, *tree, bad)


def test_half_a_pair_is_refused(tmp_path, tree_of) -> None:
    tree = tree_of(fill(tmp_path, [1]))
    with pytest.raises(ValueError, match="2 for each"):
        differing(*tree, *tree, u32(0))


def test_indices_that_are_of_no_file_are_refused(tmp_path, tree_of) -> None:
    tree = tree_of(make_tree(tmp_path / "tree"))
    good = tree.files[0]
    others = [n for n in range(len(tree.entries)) if n not in tree.files]
    for bad in (*others, len(tree.entries), 2**32 - 1):
        with pytest.raises(ValueError, match="index 1 "):
            digests(*tree, u32(good, bad))
        for pair in ((bad, good), (good, bad)):
            with pytest.raises(ValueError, match="pair 1 "):
                differing(*tree, *tree, u32(good, good, *pair))


def test_pairs_of_other_sizes_are_refused(tmp_path, tree_of) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("bb")
    tree = tree_of(tmp_path)
    with pytest.raises(ValueError, match=r"pair 0 .* same size"):
        differing(*tree, *tree, u32(0, 1))


def row(path, size=1):
    fields = [0] * 22
    fields[3] = fields[4] = size
    fields[10], fields[19] = len(path), ord("0")
    return ROW.pack(*fields)


def test_tables_that_are_not_sound_are_refused(tmp_path, tree_of) -> None:
    tree = tree_of(fill(tmp_path, [1]))
    for rows, heap in ((row(b"12345"), b"abc"), (row(b"a")[:-1], b"a")):
        with pytest.raises(FormatError):
            digests(tree.root, rows, heap, u32(0))
        with pytest.raises(FormatError):
            differing(*tree, tree.root, rows, heap, u32(0, 0))


@pytest.mark.parametrize(
    "path", [b"../secret", b"/etc/passwd", b"a/../../secret", b"./x", b"", b"x\0"]
)
def test_a_table_whose_paths_lead_elsewhere_reads_nothing(tmp_path, tree_of, path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "secret").write_text("s")
    tree = tree_of(tmp_path / "tree")
    for size in (0, 1):
        with pytest.raises((TreeError, FileNotFoundError)):
            digests(tree.root, row(path, size), path, u32(0))


def test_a_root_that_is_no_folder_is_an_os_error() -> None:
    with pytest.raises(OSError, match="a"):
        digests(-1, row(b"a"), b"a", u32(0))


# ---- what happens meanwhile ----


def replace(path, make):
    path.unlink()
    make(path)


CHANGES = {
    "it grew": (lambda path: path.write_bytes(path.read_bytes() + b"x"), "listed, and has .* now"),
    "it shrank": (lambda path: os.truncate(path, 0), "listed, and has 0 now"),
    "a link": (lambda path: replace(path, lambda p: p.symlink_to("/etc/passwd")), "something else"),
    "a fifo": (lambda path: replace(path, os.mkfifo), "something else"),
    "a folder": (lambda path: replace(path, lambda p: p.mkdir()), "something else"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("size", [3, 300_000])
def test_a_file_that_changed_since_it_was_listed_is_named(tmp_path, tree_of, size, change) -> None:
    (tmp_path / "d").mkdir()
    for name in ("d/a", os.fsdecode(b"d/b\xff"), "d/c"):
        (tmp_path / name).write_bytes(bytes(size))
    tree, make, reason = tree_of(tmp_path), *CHANGES[change]
    make(tmp_path / os.fsdecode(b"d/b\xff"))
    before, (a, b, c) = open_files(), tree.files
    with pytest.raises(TreeError, match=reason) as caught:
        digests(*tree, u32(a, b, c))
    assert caught.value.path == os.fsdecode(b"d/b\xff")
    assert not hasattr(caught.value, "__notes__")
    for pair, note in (((b, a), "in the first folder"), ((a, b), "in the second folder")):
        with pytest.raises(TreeError, match=reason) as caught:
            differing(*tree, *tree, u32(a, c, *pair))
        assert caught.value.path == os.fsdecode(b"d/b\xff")
        assert caught.value.__notes__ == [note]
    assert open_files() == before


EMPTY_CHANGES = {
    "it grew": (lambda path: path.write_bytes(b"x"), TreeError),
    "a link": (lambda path: replace(path, lambda p: p.symlink_to("/etc/passwd")), TreeError),
    "it is gone": (lambda path: path.unlink(), FileNotFoundError),
}


@pytest.mark.parametrize("change", EMPTY_CHANGES)
def test_an_empty_file_is_looked_at_too(tmp_path, tree_of, change) -> None:
    (tmp_path / "empty").touch()
    tree, make, error = tree_of(tmp_path), *EMPTY_CHANGES[change]
    assert digests(*tree, u32(0)) == hashlib.sha256().digest()
    assert differing(*tree, *tree, u32(0, 0)) == b"\0"
    make(tmp_path / "empty")
    with pytest.raises(error, match="empty"):
        digests(*tree, u32(0))
    with pytest.raises(error, match="empty"):
        differing(*tree, *tree, u32(0, 0))


def test_a_file_that_is_gone_is_said(tmp_path, tree_of) -> None:
    for side in ("one", "two"):
        (tmp_path / side / "d").mkdir(parents=True)
        (tmp_path / side / "d/file").write_text("x")
    one, two = tree_of(tmp_path / "one"), tree_of(tmp_path / "two")
    (tmp_path / "two/d/file").unlink()
    with pytest.raises(FileNotFoundError) as caught:
        digests(*two, u32(1))
    assert caught.value.filename == "d/file"
    with pytest.raises(FileNotFoundError) as caught:
        differing(*one, *two, u32(1, 1))
    assert caught.value.filename == "d/file"
    assert caught.value.__notes__ == ["in the second folder"]


def test_a_folder_that_became_a_link_is_not_followed(tmp_path, tree_of) -> None:
    tree = tree_of(make_tree(tmp_path / "tree"))
    (tmp_path / "tree/usr/lib").rename(tmp_path / "moved")
    (tmp_path / "tree/usr/lib").symlink_to(tmp_path / "moved")
    before, index = open_files(), tree.index("usr/lib/file1.txt")
    with pytest.raises(NotADirectoryError, match=r"usr/lib/file1\.txt"):
        digests(*tree, u32(index))
    with pytest.raises(NotADirectoryError, match=r"usr/lib/file1\.txt"):
        differing(*tree, *tree, u32(index, index))
    assert open_files() == before


@pytest.fixture
def on_signal():
    """Run a call and an action in it: no other thread gets the GIL before the call lets it go."""
    switch, handler = sys.getswitchinterval(), signal.getsignal(signal.SIGUSR1)
    main = threading.main_thread().ident

    def run(call, action):
        go = threading.Event()

        def kill():
            go.wait()
            signal.pthread_kill(main, signal.SIGUSR1)

        signal.signal(signal.SIGUSR1, lambda *_: action())
        other = threading.Thread(target=kill)
        other.start()
        sys.setswitchinterval(1000)
        go.set()
        try:
            return call()
        finally:
            sys.setswitchinterval(switch)
            other.join()

    yield run
    sys.setswitchinterval(switch)
    signal.signal(signal.SIGUSR1, handler)


@pytest.mark.parametrize(("new", "reason"), [(MIB, "shrank"), (600 * MIB, "grew")])
def test_a_file_that_changes_while_it_is_read_is_named(
    tmp_path, tree_of, on_signal, new, reason
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
        os.truncate(tmp_path / name / "file", 400 * MIB)
    one, two = tree_of(tmp_path / "one"), tree_of(tmp_path / "two")
    before = open_files()

    def change():
        os.truncate(tmp_path / "two/file", new)

    with pytest.raises(TreeError, match=f"file: it {reason} while it was being read"):
        on_signal(lambda: digests(*two, u32(0)), change)
    os.truncate(tmp_path / "two/file", 400 * MIB)
    with pytest.raises(TreeError, match=f"file: it {reason} while it was being read") as caught:
        on_signal(lambda: differing(*one, *two, u32(0, 0)), change)
    assert caught.value.__notes__ == ["in the second folder"]
    assert open_files() == before


@pytest.mark.parametrize("size", [100, 1 << 30])
def test_a_signal_interrupts_it(tmp_path, tree_of, size) -> None:
    """Whether it is opening files that takes long, or reading them."""
    (tmp_path / "file").touch()
    os.truncate(tmp_path / "file", size)
    (tmp_path / "twin").touch()
    os.truncate(tmp_path / "twin", size)
    tree, before = tree_of(tmp_path), open_files()
    many = np.tile(np.array([0, 1], np.uint32), 400_000 if size == 100 else 8)

    def stop(number, frame):
        raise TimeoutError

    def stopped(call):
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        call()

    old = signal.signal(signal.SIGALRM, stop)
    try:
        for call in (lambda: digests(*tree, many), lambda: differing(*tree, *tree, many)):
            with pytest.raises(TimeoutError):
                stopped(call)
            assert open_files() == before
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def test_two_threads_at_once_give_the_same(tmp_path, tree_of) -> None:
    one = tree_of(fill(tmp_path / "one", many_sizes()))
    two = tree_of(changed_copy(one.top, tmp_path / "two"))
    which = np.array(one.files, np.uint32)
    pairs, half = np.column_stack([which, which]), len(which) // 2
    found = {}

    def work(part, name):
        for _ in range(5):
            found[name] = digests(*one, which[part]), differing(*one, *two, pairs[part])

    parts = {"begin": slice(half), "end": slice(half, None)}
    threads = [threading.Thread(target=work, args=(part, name)) for name, part in parts.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found["begin"][0] + found["end"][0] == digests(*one, which) == one.expected(one.files)
    assert found["begin"][1] + found["end"][1] == differing(*one, *two, pairs)
