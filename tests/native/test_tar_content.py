"""The digest of every file of a tar that streams by in pieces of any size, holes included."""

import hashlib
import io
import random
import subprocess
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tar_build import archive, entry, pax
from support.tar_read import read

from ocifast._native.sha256 import Sha256
from ocifast._native.tar import TarParser
from ocifast._native.tar_content import ContentDigests
from ocifast.errors import StateError, TarError
from ocifast.limits import Limits

ZEROS = bytes(32)
SPARSE = [
    ["--format=gnu"],
    *(["--format=posix", f"--sparse-version={version}"] for version in ("0.0", "0.1", "1.0")),
]


def cut(data, sizes):
    """The data in pieces of these sizes, over and over."""
    at, view, turn = 0, memoryview(data), 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        yield view[at : at + size]
        at, turn = at + size, turn + 1


def digests(data, sizes=(1 << 20,)):
    """Of each row, None where there is none; the parser and the digests are fed in turn."""
    parser = TarParser(Limits())
    content = ContentDigests(parser)
    for piece in cut(data, sizes):
        parser.feed(piece)
        content.feed(piece)
    parser.finish()
    raw = bytes(content.take())
    assert len(raw) == 32 * parser.entries
    found = [raw[at : at + 32] for at in range(0, len(raw), 32)]
    return [None if each == ZEROS else each for each in found]


def expected(data):
    """The same from tarfile, which knows of holes."""
    found = []
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        for member in tar:
            # of a link tarfile would give the file
            file = tar.extractfile(member) if member.isreg() or member.issparse() else None
            found.append(hashlib.sha256(file.read()).digest() if file else None)
    return found


def tar_of(contents, kind=tarfile.PAX_FORMAT):
    """Files of these contents, with links and folders in between; a long name now and then."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as tar:
        for number, content in enumerate(contents):
            name = f"{number}" + "n" * 150 * (number % 5 == 3)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mtime = number + 0.5 * (kind == tarfile.PAX_FORMAT and number % 3 == 1)
            tar.addfile(member, io.BytesIO(content))
            for other in (tarfile.DIRTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE)[: number % 4]:
                member = tarfile.TarInfo(f"{number}-{other.decode()}")
                member.type, member.linkname = other, name * (other != tarfile.DIRTYPE)
                tar.addfile(member)
    return out.getvalue()


LENGTHS = st.one_of(
    st.integers(0, 130),
    st.sampled_from([0, 511, 512, 513, 55, 56, 63, 64, 65]),
    st.integers(0, 20_000),
)
PIECES = st.lists(
    st.one_of(st.integers(1, 70), st.integers(400, 700), st.integers(1, 1 << 20)),
    min_size=1,
    max_size=4,
)


@given(
    st.lists(LENGTHS, max_size=90),
    PIECES,
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    st.integers(0, 2**32),
)
def test_every_file_has_the_digest_hashlib_gives_it(lengths, sizes, kind, seed) -> None:
    rng = random.Random(seed)
    contents = [rng.randbytes(length) for length in lengths]
    data = tar_of(contents, kind)
    found = digests(data, sizes)
    assert found == expected(data)
    assert [each for each in found if each] == [hashlib.sha256(c).digest() for c in contents]


@pytest.mark.parametrize("size", [1, 7, 63, 64, 511, 512, 513, 1024, 1536, 4096, 100_000])
def test_where_pieces_are_cut_makes_no_difference(size) -> None:
    rng = random.Random(size)
    data = tar_of([rng.randbytes(n) for n in (0, 1, 512, 513, 0, 3000, 1024, 64)])
    assert digests(data, [size]) == expected(data)


def test_a_piece_with_many_more_files_than_are_hashed_at_once() -> None:
    data = tar_of([b"%d" % n * (n % 40) for n in range(500)])
    assert digests(data, [len(data)]) == expected(data)
    assert digests(data, [10_000]) == expected(data)


def test_a_large_file_over_many_pieces_between_small_ones() -> None:
    data = tar_of([b"small", random.Random(1).randbytes(5 << 20), b"", b"small"])
    for sizes in ([1 << 20], [1 << 18, 3], [len(data)], [999_983]):
        assert digests(data, sizes) == expected(data)


def test_empty_files_have_a_digest_wherever_they_stand() -> None:
    empty = hashlib.sha256().digest()
    for count in (1, 2, 31, 32, 33, 70):
        data = archive(*(entry(b"%d" % n) for n in range(count)))
        for size in (1, 512, 700, len(data)):
            assert digests(data, [size]) == [empty] * count


def test_what_is_no_file_has_none() -> None:
    kinds = {kind: entry(kind, kind=kind, link=b"x" * (kind in b"12")) for kind in (b"1", b"2")}
    kinds |= {kind: entry(kind, kind=kind, major=1, minor=2) for kind in (b"3", b"4")}
    kinds |= {b"5": entry(b"5/", kind=b"5"), b"6": entry(b"6", kind=b"6")}
    data = archive(*kinds.values(), entry(b"f", b"content"))
    assert digests(data) == [None] * 6 + [hashlib.sha256(b"content").digest()]


def test_an_archive_of_nothing_has_no_digests() -> None:
    assert digests(archive()) == []


@pytest.mark.parametrize("size", [1000, 100_000, 1 << 22])
def test_the_stream_itself_is_hashed_beside_its_files(size) -> None:
    rng = random.Random(size)
    data = tar_of([rng.randbytes(n) for n in (5, 2_000_000, 0, 700, *range(300))])
    parser, whole = TarParser(Limits()), Sha256(b"before")
    content = ContentDigests(parser, whole)
    for piece in cut(data, [size]):
        parser.feed(piece)
        content.feed(piece)
    assert whole.digest() == hashlib.sha256(b"before" + data).digest()
    raw = bytes(content.take())
    found = [raw[at : at + 32] for at in range(0, len(raw), 32)]
    assert [None if each == ZEROS else each for each in found] == expected(data)


# ---- sparse ----


@pytest.mark.parametrize("options", SPARSE, ids=lambda each: each[-1].rpartition("=")[2])
def test_a_sparse_file_of_gnu_tar_has_the_digest_of_the_file(options, oracle, tmp_path) -> None:
    rng = random.Random(3)
    files = {
        "holes": [(0, 5000), (400_000, 70_001), (700_000, 1)],
        "late": [(1 << 20, 10)],
        "all-hole": [],
        "many": [(n * 65_536, rng.randrange(1, 5000)) for n in range(40)],
        "plain": [(0, 9000)],
    }
    for name, regions in files.items():
        with (tmp_path / name).open("wb") as file:
            for at, size in regions:
                file.seek(at)
                file.write(rng.randbytes(size))
            file.truncate(3 << 20)
    (tmp_path / "zfile").write_text("after")
    command = [oracle("tar"), "-C", tmp_path, "--sparse", *options, "-cf", "-"]
    made = subprocess.run([*command, *files, "zfile"], check=True, capture_output=True).stdout
    table = read(made).table
    assert sum(each.is_sparse for each in table) == 5
    wanted = {each.path: (tmp_path / each.name).read_bytes() for each in table}
    hashed = [hashlib.sha256(each).digest() for each in wanted.values()]
    for sizes in ([len(made)], [512], [511, 4096, 1], [65_536]):
        assert digests(made, sizes) == hashed


REGIONS = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 300)), min_size=1, max_size=12)


@given(REGIONS, st.integers(0, 200), PIECES, st.sampled_from(["0.0", "0.1", "1.0"]))
def test_maps_of_any_shape_are_expanded(gaps, tail, sizes, form) -> None:
    regions, end, payload, plain = [], 0, b"", bytearray()
    rng = random.Random(len(gaps))
    for gap, size in gaps:
        content = rng.randbytes(size)
        regions.append((end + gap, size))
        plain += bytes(gap) + content
        payload, end = payload + content, end + gap + size
    plain += bytes(tail)
    data = archive(*sparse(form, regions, len(plain), payload), entry(b"next", b"x"))
    wanted = [hashlib.sha256(plain).digest(), hashlib.sha256(b"x").digest()]
    assert digests(data, sizes) == wanted


def sparse(form, regions, size, payload):
    """A sparse file in one of the three forms of PAX."""
    if form == "1.0":
        numbers = [len(regions), *(number for region in regions for number in region)]
        text = b"".join(b"%d\n" % number for number in numbers)
        records = [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0")]
        records += [(b"GNU.sparse.name", b"s"), (b"GNU.sparse.realsize", b"%d" % size)]
        return pax(*records), entry(b"f", text + bytes(-len(text) % 512) + payload)
    records = [(b"GNU.sparse.size", b"%d" % size), (b"GNU.sparse.numblocks", b"%d" % len(regions))]
    if form == "0.1":
        text = b",".join(b"%d,%d" % region for region in regions)
        records += [(b"GNU.sparse.map", text), (b"GNU.sparse.name", b"s")]
    else:
        for at, some in regions:
            records += [(b"GNU.sparse.offset", b"%d" % at), (b"GNU.sparse.numbytes", b"%d" % some)]
    return pax(*records), entry(b"f", payload)


# ---- its state ----


def test_a_file_that_is_cut_off_has_no_digest() -> None:
    data = archive(entry(b"a", b"whole"), entry(b"b", b"x" * 1000))
    parser = TarParser(Limits())
    content = ContentDigests(parser)
    for piece in cut(data[: 3 * 512 + 100], [300]):
        parser.feed(piece)
        content.feed(piece)
    with pytest.raises(TarError):
        parser.finish()
    assert bytes(content.take()) == hashlib.sha256(b"whole").digest() + ZEROS


def test_digests_may_begin_where_a_file_does_not() -> None:
    """With a parser that is past some of the archive, but of files it has seen nothing yet."""
    data = archive(pax((b"comment", b"x")), entry(b"a", b"content"))
    parser = TarParser(Limits())
    parser.feed(data[:1024])
    content = ContentDigests(parser)
    parser.feed(data[1024:])
    content.feed(data[1024:])
    assert bytes(content.take()) == hashlib.sha256(b"content").digest()


@pytest.mark.parametrize("fed", [0, 1, 3, 5])
def test_a_piece_the_parser_was_not_fed_with_is_refused(fed) -> None:
    parser = TarParser(Limits())
    content = ContentDigests(parser)
    data = archive(entry(b"a", b"content"))
    parser.feed(data[:fed])
    with pytest.raises(StateError, match="just before"):
        content.feed(data[:2])


def test_what_the_parser_skipped_or_had_before_is_refused() -> None:
    data = archive(entry(b"a", b"x" * 5000), entry(b"b", b"y"))
    parser = TarParser(Limits())
    parser.feed(data[:1024])
    late = ContentDigests(parser)
    parser.feed(data[1024:2048])
    with pytest.raises(StateError, match="fed with more"):
        late.feed(data[1024:2048])
    with pytest.raises(StateError, match="failed"):
        late.feed(data[2048:3000])
    parser = TarParser(Limits())
    content = ContentDigests(parser)
    parser.feed(data[:1024])
    content.feed(data[:1024])
    parser.skip(512)
    parser.feed(data[1536:2048])
    with pytest.raises(StateError, match="just before"):
        content.feed(data[1536:2048])


def test_a_table_that_was_taken_meanwhile_is_refused() -> None:
    parser = TarParser(Limits())
    content = ContentDigests(parser)
    first = entry(b"a", b"content")
    parser.feed(first)
    content.feed(first)
    parser.take_table()
    parser.feed(bytes(512))
    with pytest.raises(StateError, match="taken"):
        content.feed(bytes(512))


def test_digests_are_taken_once_and_then_fed_no_more() -> None:
    parser = TarParser(Limits())
    content = ContentDigests(parser)
    data = archive(entry(b"a"))
    parser.feed(data)
    content.feed(data)
    content.take()
    for use in (content.take, lambda: content.feed(b"x"), lambda: content.feed(b"")):
        with pytest.raises(StateError, match="taken"):
            use()


def test_digests_are_initialised_once_and_before_use() -> None:
    content = ContentDigests(TarParser(Limits()))
    with pytest.raises(StateError):
        content.__init__(TarParser(Limits()))
    bare = ContentDigests.__new__(ContentDigests)
    for use in (bare.take, lambda: bare.feed(b"x")):
        with pytest.raises(StateError):
            use()
    with pytest.raises(TypeError):
        ContentDigests(None)


def test_a_parser_without_a_table_gives_no_digests() -> None:
    parser = TarParser(Limits(), keep=False)
    content = ContentDigests(parser)
    data = archive(entry(b"a", b"content"))
    parser.feed(data)
    content.feed(data)
    assert bytes(content.take()) == b""


@pytest.mark.parametrize("piece", [None, "text", 5, memoryview(bytes(8)).cast("Q")])
def test_what_is_no_plain_buffer_is_refused(piece) -> None:
    with pytest.raises((TypeError, ValueError)):
        ContentDigests(TarParser(Limits())).feed(piece)
