"""What umoci unpacks a stack of layers to is what TreeMerge says it comes to.

Both get the same tars, made by tarfile; the folder umoci leaves is walked and compared field by
field, and every file's bytes with those that its row points at. Layers are made so that they hold
nothing that umoci 0.4 does otherwise:

- Parents without an entry become 0777 less the umask, and of now: every layer has an entry of each
  folder it needs and the tree does not have yet.
- A path below a file is an error (ENOTDIR; from 0.5 on the file is replaced): an entry for the
  folder comes first.
- A hard link to what is not there is an error, and its own path is removed before it is made, so
  that a link to itself, or into a folder it replaces, has no target any more: its target is another
  file, and not below its path.
- A whiteout is looked up where the tree is by then: `l/.wh.x` before `l/` would go through the link
  that `l/` replaces, or fail below a file that came meanwhile. The folder of a whiteout, and links
  that paths go through, are replaced by nothing in the same layer.
- A whiteout behind what it must not remove touches the times of folders it goes through; with
  whiteouts at any place times of folders are not compared.
- `.wh.d` behind `d/x` leaves `d` as it was below: where `d` is made again it has an entry.
- Entries of AUFS, whiteouts of no name, and an entry of the root have rules of their own (W01, W02,
  W07, P04), and are in tests of TreeMerge alone.
"""

import io
import os
import random
import subprocess
import tarfile

import pytest
from support.images import Sample, layout_files, write_folder
from support.layers import LAYER, Layer, sha256
from support.merge_model import NOWHERE, Folder, Model, flat, taken

from ocifast._native.tar import TarParser
from ocifast._native.tree_merge import TreeMerge
from ocifast._native.tree_walk import walk
from ocifast.formats.tar import EntryTable
from ocifast.limits import Limits
from ocifast.tree.entry import Entry, EntryKind

FILE, DIRECTORY, SYMLINK = EntryKind.FILE, EntryKind.DIRECTORY, EntryKind.SYMLINK
HARDLINK, FIFO, CHAR = EntryKind.HARDLINK, EntryKind.FIFO, EntryKind.CHAR_DEVICE
TYPES = {
    FILE: tarfile.REGTYPE,
    DIRECTORY: tarfile.DIRTYPE,
    SYMLINK: tarfile.SYMTYPE,
    HARDLINK: tarfile.LNKTYPE,
    FIFO: tarfile.FIFOTYPE,
    CHAR: tarfile.CHRTYPE,
}
IS_ROOT = os.geteuid() == 0
NAMES = [b"a", b"b", b"c", b"a-b", b"a.", b"\xc3\xa9"]
KEPT = [b"real", b"link", b"up"]  # no layer replaces these: `real/` and two links to it
OPAQUE = b".wh..wh..opq"


class Stack:
    """Layers as they are made, and what the tree is by then."""

    def __init__(self, seed: int, *, devices: bool) -> None:
        self.random = random.Random(seed)
        self.kinds = [FILE] * 5 + [DIRECTORY] * 3 + [SYMLINK] * 2 + [HARDLINK] * 3 + [FIFO]
        self.kinds += [CHAR] * devices
        self.model = Model()
        self.layers: list[list[Entry]] = []

    def metadata(self, kind: EntryKind) -> dict[str, object]:
        pick = self.random
        mode = {SYMLINK: 0o777, DIRECTORY: pick.choice([0o755, 0o700, 0o1777, 0o2750])}
        found: dict[str, object] = {
            "mode": mode.get(kind, pick.choice([0o644, 0o600, 0o4755, 0o444])),
            "mtime_ns": pick.randrange(1, 2**31) * 10**9,
        }
        if IS_ROOT:
            found |= {"uid": pick.choice([0, 0, 1000, 70_000]), "gid": pick.choice([0, 5])}
        if kind in {FILE, DIRECTORY} and pick.random() < 0.2:
            names = pick.sample([b"user.a", b"user.b", b"user.c"], pick.randint(1, 2))
            found["xattrs"] = tuple((name, pick.randbytes(pick.randint(1, 9))) for name in names)
        return found

    def base(self) -> None:
        """The first layer: `real/` and links that lead there."""
        layer = [self.entry(b"real/", DIRECTORY)]
        for path, target in ((b"link", b"real"), (b"up", b"../real/../link/.")):
            layer.append(self.entry(path, SYMLINK)._replace(link_target=target))
        self.model.apply(layer)
        self.fill(layer, set())
        self.layers.append(layer)

    def grow(self, *, whiteouts_first: bool) -> None:
        """A layer on top of the others."""
        hiding = self.whiteouts()
        hidden_in = {each.path.rpartition(b"/")[0] for each in hiding}
        self.model.apply(hiding)
        layer: list[Entry] = []
        self.fill(layer, hidden_in)
        for each in reversed(hiding):
            at = 0 if whiteouts_first else self.random.randint(0, len(layer))
            layer.insert(at, each)
        self.layers.append(layer)

    def folders(self) -> dict[bytes, Folder]:
        """All by their paths; those in `real` by a link to it now and then."""
        found = {b"": self.model.root}
        for path, folder in list(found.items()):
            self.collect(path, folder, found)
        return found

    def collect(self, path: bytes, folder: Folder, found: dict[bytes, Folder]) -> None:
        for name, node in folder.names.items():
            if isinstance(node, Folder):
                below = path + b"/" + name if path else name
                found[below] = node
                self.collect(below, node, found)

    def spelled(self, path: bytes) -> bytes:
        first, slash, rest = path.partition(b"/")
        if first == b"real" and slash and self.random.random() < 0.5:
            first = self.random.choice([b"link", b"up"])
        return self.random.choice([b"", b"", b"./", b"/"]) + first + slash + rest

    def whiteouts(self) -> list[Entry]:
        pick, found, folders = self.random, {}, self.folders()
        for _ in range(pick.randint(0, 5)):
            path = pick.choice(list(folders))
            names = [name for name in folders[path].names if path or name not in KEPT]
            name = b".wh." + pick.choice(names or NAMES)
            if path and pick.random() < 0.3:
                name = OPAQUE
            full = self.spelled(path + b"/" + name if path else name)
            found[path, name] = Entry(full, FILE)
        return list(found.values())

    def fill(self, layer: list[Entry], hidden_in: set[bytes]) -> None:
        """Entries, each once, and none where a whiteout of this layer looks."""
        pick, used = self.random, set(KEPT) | {b"real"}
        for path in hidden_in:
            parts = [part for part in path.split(b"/") if part not in {b"", b"."}]
            if parts and parts[0] in KEPT:
                parts[0] = b"real"
            used |= {b"/".join(parts[:end]) for end in range(1, len(parts) + 1)}
        for _ in range(pick.randint(3, 14)):
            parts = [pick.choice(NAMES) for _ in range(pick.randint(1, 3))]
            if pick.random() < 0.4:
                parts[0] = b"real"
            self.bring(layer, parts, used)

    def bring(self, layer: list[Entry], parts: list[bytes], used: set[bytes]) -> None:
        folders, path = self.folders(), b"/".join(parts)
        parents = [b"/".join(parts[:end]) for end in range(1, len(parts))]
        missing = [parent for parent in parents if parent not in folders]
        kind = self.random.choice(self.kinds)
        if used & {*missing, path}:
            return
        if kind is not DIRECTORY and any(other.startswith(path + b"/") for other in used):
            return
        for parent in missing:
            self.put(layer, self.entry(parent + b"/", DIRECTORY))
        used.update(missing)
        made = self.entry(path, kind)
        if kind is DIRECTORY:
            made = made._replace(path=path + self.random.choice([b"/", b"/", b"//"]))
        if kind is HARDLINK:
            targets = self.targets(path)
            if not targets:
                return
            made = made._replace(link_target=self.spelled(self.random.choice(targets)))
        used.add(path)
        self.put(layer, made._replace(path=self.spelled(made.path)))

    def entry(self, path: bytes, kind: EntryKind) -> Entry:
        pick, fields = self.random, self.metadata(kind)
        if kind is FILE:
            fields["size"] = pick.choice([0, 1, 100, 5000])
        if kind is SYMLINK:
            targets = [b"a", b"../b", b"/real/a", b"/no/where", b".", b"c/../../a-b"]
            fields["link_target"] = pick.choice(targets)
        if kind is CHAR:
            fields |= {"dev_major": 1, "dev_minor": pick.choice([3, 300])}
        return Entry(path, kind, **fields)  # type: ignore[arg-type]

    def targets(self, path: bytes) -> list[bytes]:
        """What a hard link may name."""
        return [
            each.path
            for each in self.model.flattened()
            if each.kind is not DIRECTORY and each.path not in {path, *KEPT}
            if not each.path.startswith(path + b"/")
        ]

    def put(self, layer: list[Entry], entry: Entry) -> None:
        layer.append(entry)
        self.model.apply([entry])


def tar_of(layer: list[Entry], seed: int) -> bytes:
    rng, out = random.Random(seed), io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for each in layer:
            member = tarfile.TarInfo(each.name)
            member.type, member.linkname = TYPES[each.kind], os.fsdecode(each.link_target)
            member.mode, member.uid, member.gid = each.mode, each.uid, each.gid
            member.mtime, member.size = each.mtime_ns // 10**9, each.size
            member.devmajor, member.devminor = each.dev_major, each.dev_minor
            member.pax_headers = {
                f"SCHILY.xattr.{name.decode()}": os.fsdecode(value) for name, value in each.xattrs
            }
            tar.addfile(member, io.BytesIO(rng.randbytes(each.size)))
    return out.getvalue()


def merged(tars: list[bytes]):
    """What TreeMerge says, and the bytes of the files."""
    state = TreeMerge(Limits())
    for tar in tars:
        parser = TarParser(Limits())
        parser.feed(tar)
        parser.finish()
        state.apply(*parser.take_table())
    rows, heap, source = state.take()
    table, found = EntryTable(rows, heap), taken(rows, heap, source)
    contents = {
        row.path: tars[row.source[0]][each.payload_offset : each.payload_offset + each.size]
        for each, row in zip(table, found, strict=True)
        if row.kind is FILE
    }
    return [each._replace(source=NOWHERE) for each in found], contents


def unpacked(umoci: str, tars: list[bytes], top):
    """What is in the folder that umoci made."""
    layers = [Layer(tar, LAYER, sha256(tar), sha256(tar), len(tar), 0) for tar in tars]
    write_folder(top / "layout", layout_files(Sample(tuple(layers), names=("it",))))
    rootless = [] if IS_ROOT else ["--rootless"]
    command = [umoci, "raw", "unpack", *rootless, "--image", f"{top}/layout:it", top / "root"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    root = os.open(top / "root", os.O_RDONLY | os.O_DIRECTORY)
    try:
        rows, heap, left_out = walk(root)
    finally:
        os.close(root)
    assert left_out == []
    found = [flat(each, NOWHERE) for each in EntryTable(rows, heap)]
    if not IS_ROOT:
        found = [each._replace(uid=0, gid=0) for each in found]
    files = [each.path for each in found if each.kind is FILE]
    return found, {path: (top / "root" / os.fsdecode(path)).read_bytes() for path in files}


@pytest.fixture(scope="module")
def devices(tmp_path_factory) -> bool:
    """Whether there may be some."""
    try:
        os.mknod(tmp_path_factory.mktemp("devices") / "null", 0o20666, os.makedev(1, 3))
    except PermissionError:
        return False
    return True


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("whiteouts_first", [True, False], ids=["first", "anywhere"])
def test_umoci_unpacks_what_a_merge_says(seed, whiteouts_first, devices, oracle, tmp_path) -> None:
    stack = Stack(seed + 1000 * whiteouts_first, devices=devices)
    stack.base()
    for _ in range(stack.random.randint(1, 5)):
        stack.grow(whiteouts_first=whiteouts_first)
    tars = [tar_of(layer, seed) for layer in stack.layers]
    ours, our_files = merged(tars)
    theirs, their_files = unpacked(oracle("umoci"), tars, tmp_path)
    if not whiteouts_first:
        ours, theirs = map(without_folder_times, (ours, theirs))
    assert ours == theirs
    assert our_files == their_files


def without_folder_times(rows):
    return [each._replace(mtime_ns=0) if each.kind is DIRECTORY else each for each in rows]


def test_the_stacks_hold_what_they_are_made_for() -> None:
    """Else the comparison would say little."""
    kinds, hiding, replaced = set(), 0, 0
    for seed in range(20):
        stack = Stack(seed, devices=True)
        stack.base()
        for _ in range(4):
            before = {each.path for each in stack.model.flattened()}
            stack.grow(whiteouts_first=False)
            hiding += sum(each.is_whiteout for each in stack.layers[-1])
            replaced += len(before - {each.path for each in stack.model.flattened()})
        kinds |= {each.kind for each in stack.model.flattened()}
    assert kinds == {FILE, DIRECTORY, SYMLINK, HARDLINK, FIFO, CHAR}
    assert hiding > 100
    assert replaced > 200
