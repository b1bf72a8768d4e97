"""Sparse files (H16): refused at the gate, expanded with care when reading what exists."""

import pytest
from support.tar_build import MAGIC_GNU, archive, base256, entry, octal, pax
from support.tar_read import both, judge, read

from ocifast.limits import Limits

MAP = [(0, 100), (5000, 200)]
REAL = 10_000
PAYLOAD = b"y" * 300


def refused(code: str) -> tuple[str, str]:
    return code, code


def sparse_00(regions: list[tuple[int, int]], *extra: tuple[bytes, bytes]) -> bytes:
    records = [(b"GNU.sparse.size", b"%d" % REAL), (b"GNU.sparse.numblocks", b"%d" % len(regions))]
    for offset, size in regions:
        records += [(b"GNU.sparse.offset", b"%d" % offset), (b"GNU.sparse.numbytes", b"%d" % size)]
    return pax(*records, *extra)


def sparse_01(text: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    return pax(
        (b"GNU.sparse.size", b"%d" % REAL),
        (b"GNU.sparse.map", text),
        (b"GNU.sparse.name", b"real"),
        *extra,
    )


SPARSE_10 = pax(
    (b"GNU.sparse.major", b"1"),
    (b"GNU.sparse.minor", b"0"),
    (b"GNU.sparse.realsize", b"%d" % REAL),
    (b"GNU.sparse.name", b"real"),
)


def map_10(regions: list[tuple[int, int]]) -> bytes:
    numbers = [len(regions), *(number for region in regions for number in region)]
    text = b"".join(b"%d\n" % number for number in numbers)
    return text + bytes(-len(text) % 512)


def old_gnu(
    regions: list[tuple[int, int]], real: int = REAL, payload: bytes = PAYLOAD, more: bytes = b""
) -> bytes:
    """An old GNU header; of more than four regions the rest goes into extension blocks."""

    def numbers(some: list[tuple[int, int]]) -> bytes:
        return b"".join(octal(offset, 12) + octal(size, 12) for offset, size in some)

    rest = [regions[at : at + 21] for at in range(4, len(regions), 21)]
    prefix = bytes(41) + numbers(regions[:4]).ljust(96, b"\0")
    fields = prefix + (b"\1" if rest or more else b"\0")
    fields += octal(real, 12) if real < 1 << 33 else base256(real, 12)
    head = entry(b"old", kind=b"S", size=len(payload), magic=MAGIC_GNU, prefix=fields)
    blocks = [
        numbers(some).ljust(504, b"\0") + (b"\1" if index + 1 < len(rest) else b"\0") + bytes(7)
        for index, some in enumerate(rest)
    ]
    return head + b"".join(blocks) + more + payload + bytes(-len(payload) % 512)


FORMS = {
    "old": old_gnu(MAP),
    "old-extended": old_gnu([(i * 300, 10) for i in range(30)]),
    "0.0": sparse_00(MAP) + entry(b"f", PAYLOAD),
    "0.1": sparse_01(b"0,100,5000,200") + entry(b"f", PAYLOAD),
    "0.1-versioned": sparse_01(
        b"0,100,5000,200", (b"GNU.sparse.major", b"0"), (b"GNU.sparse.minor", b"1")
    )
    + entry(b"f", PAYLOAD),
    "1.0": SPARSE_10 + entry(b"f", map_10(MAP) + PAYLOAD),
    "1.0-two-blocks": SPARSE_10 + entry(b"f", map_10([(i * 20, 1) for i in range(300)]) + PAYLOAD),
}


@pytest.mark.parametrize("form", FORMS)
def test_h16_strict_refuses_every_form(form: str) -> None:
    assert judge(archive(FORMS[form]), strict=True) == "sparse"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("step", [0, 1, 511])
def test_h16_compat_reads_every_form(form: str, step: int) -> None:
    found = read(archive(FORMS[form], entry(b"next")), step=step)
    first, following = found.entries
    assert first.is_sparse
    assert first.regions is not None
    assert (first.size, first.stored_size) == (REAL, 300)
    assert sum(size for _, size in first.regions) == 300
    assert first.path == {"o": b"old", "0": b"real", "1": b"real"}[form[0]] or form == "0.0"
    assert (following.path, following.regions) == (b"next", None)
    assert found.codes == ["sparse"]


@pytest.mark.parametrize("form", FORMS)
def test_h16_the_payload_starts_behind_the_map(form: str) -> None:
    data = archive(FORMS[form])
    first = read(data).entries[0]
    payload = data[first.payload_offset : first.payload_offset + first.stored_size]
    assert payload == PAYLOAD


@pytest.mark.parametrize(
    "regions",
    [
        [(5000, 200), (0, 100)],  # unordered
        [(0, 200), (100, 100)],  # overlapping
        [(0, 100), (REAL, 200)],  # past the real size
        [(0, 100), (5000, 201)],  # more than is stored
        [(0, 100)],  # less than is stored
        [],
    ],
)
def test_h16_maps_that_cannot_be_are_refused(regions: list[tuple[int, int]]) -> None:
    text = b",".join(b"%d,%d" % region for region in regions)
    for data in (
        old_gnu(regions),
        sparse_00(regions) + entry(b"f", PAYLOAD),
        sparse_01(text) + entry(b"f", PAYLOAD),
        SPARSE_10 + entry(b"f", map_10(regions) + PAYLOAD),
    ):
        assert judge(archive(data)) == "sparse-map"


@pytest.mark.parametrize(
    "text", [b"0", b"0,100,5000", b"0,,100", b"a,b", b"0,100,", b",", b"-1,1", b"0,9" * 9]
)
def test_h16_a_map_of_half_a_pair_is_refused(text: bytes) -> None:
    assert judge(archive(sparse_01(text), entry(b"f", PAYLOAD))) == "sparse-map"


@pytest.mark.parametrize(
    "records",
    [
        [(b"GNU.sparse.name", b"orphan")],
        [(b"GNU.sparse.size", b"5")],
        [(b"GNU.sparse.offset", b"5"), (b"GNU.sparse.size", b"5")],
        [(b"GNU.sparse.numbytes", b"5"), (b"GNU.sparse.size", b"5")],
        [(b"GNU.sparse.offset", b"0"), (b"GNU.sparse.offset", b"5")],
        [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0")],
        [(b"GNU.sparse.major", b"2"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.size", b"5")],
        [(b"GNU.sparse.unknown", b"1")],
        [(b"GNU.sparse.map", b"0,5"), (b"GNU.sparse.size", b"5"), (b"GNU.sparse.realsize", b"6")],
        [
            (b"GNU.sparse.map", b"0,5"),
            (b"GNU.sparse.size", b"5"),
            (b"GNU.sparse.numblocks", b"2"),
        ],
    ],
)
def test_h16_orphan_keys_are_refused(records: list[tuple[bytes, bytes]]) -> None:
    assert judge(archive(pax(*records), entry(b"f", b"12345"))) == "sparse-map"


def test_h16_only_files_are_sparse() -> None:
    for flag in (b"5", b"2", b"6"):
        data = archive(
            sparse_01(b"0,0"), entry(b"f", kind=flag, link=b"t" if flag == b"2" else b"")
        )
        assert judge(data) == "sparse-map"


@pytest.mark.parametrize(
    "text", [b"x\n", b"-1\n", b"\n", b"1\n0\n", b"1" * 30 + b"\n", b"1\n0,5\n", b"2\n0\n5\n"]
)
def test_h16_a_malformed_map_in_the_payload_is_refused(text: bytes) -> None:
    data = archive(SPARSE_10, entry(b"f", text.ljust(512, b"\0") + PAYLOAD))
    assert judge(data) == "sparse-map"


def test_h16_a_map_longer_than_the_payload_is_refused() -> None:
    assert judge(archive(SPARSE_10, entry(b"f", b"9\n1\n1\n"))) == "sparse-map"
    endless = b"1\n" * 100_000
    assert judge(archive(SPARSE_10, entry(b"f", b"9999\n" + endless))) == "sparse-map"


def test_h16_regions_are_capped_before_they_are_read() -> None:
    limits = Limits(sparse_regions=10)
    eleven = [(i * 10, 1) for i in range(11)]
    for data in (
        old_gnu(eleven, payload=b"y" * 11),
        sparse_00(eleven) + entry(b"f", b"y" * 11),
        SPARSE_10 + entry(b"f", map_10(eleven) + b"y" * 11),
        SPARSE_10 + entry(b"f", b"99999999999\n".ljust(512, b"\0")),
    ):
        assert judge(archive(data), limits=limits) == "limit sparse_regions"
    maps = b",".join(b"%d,0" % i for i in range(10_001))
    assert judge(archive(sparse_01(maps), entry(b"f"))) == "limit sparse_regions"


def test_h16_holes_count_as_output() -> None:
    data = archive(old_gnu(MAP, real=1 << 30))
    assert judge(data, limits=Limits(output_bytes=1 << 30)) == "limit output_bytes"
    assert judge(data, limits=Limits(output_bytes=1 << 31)) == "ok"
    bomb = archive(*(old_gnu([], real=(1 << 63) - 512, payload=b"") for _ in range(3)))
    assert both(bomb) == ("sparse", "limit output_bytes")


def test_h16_an_extension_chain_that_never_ends_is_truncated() -> None:
    endless = (bytes(504) + b"\1").ljust(512, b"\0")
    assert judge(old_gnu(MAP, more=endless)) == "sparse-map"
