"""Headers of archive members: what every reader of tars takes them for."""

import io
import subprocess
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tar_read import ours

from ocifast.formats.tar_writer import END, folder_header, member_header, padding

LONG = "blobs/sha512/" + "0" * 128


def archive(*members: tuple[str, bytes | None]) -> bytes:
    parts = []
    for name, content in members:
        if content is None:
            parts.append(folder_header(name))
        else:
            parts += [member_header(name, len(content)), content, padding(len(content))]
    return b"".join(parts) + END


MEMBERS = [("blobs", None), ("index.json", b"{}"), (LONG, b"x" * 513), ("empty", b"")]


def test_tarfile_reads_the_members() -> None:
    with tarfile.open(fileobj=io.BytesIO(archive(*MEMBERS))) as tar:
        found = [(m.name, tar.extractfile(m).read() if m.isfile() else None) for m in tar]
        kinds = {(m.mode, m.uid, m.gid, m.mtime) for m in tar}
    assert found == MEMBERS
    assert kinds == {(0o444, 0, 0, 0), (0o755, 0, 0, 0)}


def test_our_own_strict_parser_reads_the_members() -> None:
    found = ours(archive(*MEMBERS), strict=True)
    assert [entry[0].decode().rstrip("/") for entry in found] == [name for name, _ in MEMBERS]


@pytest.mark.parametrize("tool", ["bsdtar", "tar"])
def test_other_tools_read_the_members(tool: str, oracle, tmp_path) -> None:
    (tmp_path / "a.tar").write_bytes(archive(*MEMBERS))
    command = [oracle(tool), "-tf", str(tmp_path / "a.tar")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert [line.rstrip("/") for line in done.stdout.split()] == [name for name, _ in MEMBERS]


@pytest.mark.parametrize("size", [0, 8**11 - 1, 8**11, 1 << 40])
def test_a_size_of_any_length_is_written(size: int) -> None:
    header = member_header("x", size)
    with tarfile.open(fileobj=io.BytesIO(header + bytes(10240))) as tar:
        assert tar.next().size == size
    assert len(header) == (512 if size < 8**11 else 1536)


@given(st.text(min_size=1, max_size=300).filter(lambda name: "\0" not in name and "/" not in name))
def test_a_name_of_any_length_is_written(name: str) -> None:
    try:
        raw = name.encode()
    except UnicodeEncodeError:
        return
    with tarfile.open(fileobj=io.BytesIO(member_header(name, 0) + END), encoding="utf-8") as tar:
        assert tar.next().name.encode() == raw


@given(st.integers(0, 10**9))
def test_a_payload_is_padded_to_whole_blocks(size: int) -> None:
    assert (size + len(padding(size))) % 512 == 0
    assert len(padding(size)) < 512
