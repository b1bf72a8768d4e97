"""Archives as Go's archive/tar writes them: rebuilt here, held against digests of real ones."""

import hashlib

import pytest
from support.tar_build import END, entry, header, padded, record
from support.tar_read import read

from ocifast.tree import EntryKind

TIME = 1_700_000_000


def go(name: bytes, payload: bytes = b"", kind: bytes = b"0", **fields: int | bytes) -> bytes:
    fields = {"mtime": TIME, "major": 0, "minor": 0} | fields
    return entry(name, payload, kind, **fields)


def go_pax(folder: bytes, base: bytes, *records: tuple[bytes, bytes]) -> bytes:
    payload = b"".join(record(*r) for r in sorted(records))
    name = folder + b"PaxHeaders.0/" + base
    return header(name[:100], b"x", size=len(payload), mode=0) + padded(payload)


LONG = b"d/" + b"a" * 120
SPLIT = b"a" * 80 + b"/" + b"b" * 80
CAPABILITY = bytes.fromhex("0100000200200000") + bytes(12)
VECTORS = {
    "tree": (
        go(b"etc/", kind=b"5", mode=0o755)
        + go(b"etc/hello", b"hello\n")
        + go(b"etc/link", kind=b"2", link=b"hello", mode=0o777)
        + go(b"etc/hard", kind=b"1", link=b"etc/hello"),
        "ea24f5ba5bf879710295ab29bc0e6e61670e12b8e8cc8dd11499afedb10c6683",
    ),
    "long-path": (
        go_pax(b"d/", b"a" * 120, (b"path", LONG)) + go(LONG[:100]),
        "e62b595e26f65fdb9e621953ad7444c59a780d321200010afb24fe3059821967",
    ),
    "capability": (
        go_pax(b"bin/", b"ping", (b"SCHILY.xattr.security.capability", CAPABILITY))
        + go(b"bin/ping", b"x", mode=0o755),
        "191128d90e82bd84b05e8ffd85f6ee7d17a225c41f51efba8f56aba1cc633eac",
    ),
    "non-ascii-big-uid": (
        go_pax(b"", b"hllo", (b"path", "héllo".encode()), (b"uid", b"3000000"))
        + go(b"hllo", mode=0o600, gid=5),
        "2c944111ad09c43640060d7f812b3eb224be0a1da4628eab09e488931369fa02",
    ),
    "whiteout": (
        go(b"etc/.wh.gone", mode=0, mtime=0),
        "2ceb7cfa7a07a72cac312e59f9b652d6ec5b77597ae4b6217460e67c32824d96",
    ),
    "split-name": (
        go(b"b" * 80, prefix=b"a" * 80),
        "86077446258e6fe00a0511f44809706bbda34475aeb2fd856324ad671f20305f",
    ),
    "split-name-with-xattr": (
        go_pax(b"a" * 80 + b"/", b"b" * 80, (b"path", SPLIT), (b"SCHILY.xattr.user.k", b"v"))
        + go(SPLIT[:100]),
        "53ccc2c99772593b03aa18f11ebdd48ac45ab739665bf49ea24c017bc99747e6",
    ),
}
PATHS = {
    "tree": [b"etc/", b"etc/hello", b"etc/link", b"etc/hard"],
    "long-path": [LONG],
    "capability": [b"bin/ping"],
    "non-ascii-big-uid": ["héllo".encode()],
    "whiteout": [b"etc/.wh.gone"],
    "split-name": [SPLIT],
    "split-name-with-xattr": [SPLIT],
}


@pytest.mark.parametrize("name", VECTORS)
def test_archives_of_go_are_read_without_a_finding(name: str) -> None:
    data, digest = VECTORS[name]
    assert hashlib.sha256(data + END).hexdigest() == digest, "the vector is not what Go wrote"
    for strict in (False, True):
        found = read(data + END, strict=strict)
        assert [e.path for e in found.entries] == PATHS[name]
        assert found.findings == []


def test_what_the_vectors_say_is_what_is_read() -> None:
    tree = read(VECTORS["tree"][0] + END).entries
    kinds = [EntryKind.DIRECTORY, EntryKind.FILE, EntryKind.SYMLINK, EntryKind.HARDLINK]
    assert [e.kind for e in tree] == kinds
    assert [e.mode for e in tree] == [0o755, 0o644, 0o777, 0o644]
    assert [e.link_target for e in tree] == [b"", b"", b"hello", b"etc/hello"]
    assert {e.mtime_ns for e in tree} == {TIME * 10**9}
    ping = read(VECTORS["capability"][0] + END).entries[0]
    assert ping.xattrs == ((b"security.capability", CAPABILITY),)
    hello = read(VECTORS["non-ascii-big-uid"][0] + END).entries[0]
    assert (hello.uid, hello.gid, hello.mode) == (3_000_000, 5, 0o600)
    gone = read(VECTORS["whiteout"][0] + END).entries[0]
    assert gone.is_whiteout
    assert not gone.is_opaque


@pytest.mark.parametrize(
    ("zeros", "digest"),
    [
        (1024, "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"),
        (10240, "84ff92691f909a05b224e1c56abb4864f01b4f8e3c854e4bb4c7baf1d3f6d652"),
    ],
)
def test_the_empty_layers_of_go_and_python_are_empty(zeros: int, digest: str) -> None:
    assert hashlib.sha256(bytes(zeros)).hexdigest() == digest
    assert read(bytes(zeros), strict=True).entries == []
