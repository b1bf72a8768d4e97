"""Files of a store: nothing but regular files, never through a link, never out of the store."""

import os
import socket
from pathlib import Path

import pytest
from support.images import Link, tar_of, write_folder, write_tar

from ocifast.errors import StoreError, TarError, UnknownCodec
from ocifast.ops.archive_table import KEPT_BYTES, open_archive
from ocifast.transports.archive import ArchiveFiles, Member
from ocifast.transports.file_name import clean_name, link_target
from ocifast.transports.folder import FolderFiles

BLOB = "blobs/sha256/00"


def content(files, name: str) -> bytes:
    location = files.locate(name)
    descriptor = location.open()
    try:
        return os.pread(descriptor, location.size, location.offset)
    finally:
        os.close(descriptor)


@pytest.fixture
def folder(tmp_path: Path) -> FolderFiles:
    write_folder(tmp_path / "store", {BLOB: b"blob", "index.json": b"{}"})
    (tmp_path / "secret").write_bytes(b"secret")
    return FolderFiles(str(tmp_path / "store"))


def test_a_folder_gives_its_files_by_name(folder: FolderFiles) -> None:
    assert sorted(folder.names()) == [BLOB, "index.json"]
    assert folder.read("./index.json", 10) == b"{}"
    assert content(folder, BLOB) == b"blob"
    assert folder.find("nothing") is None
    with pytest.raises(StoreError, match="nothing: there is no such file"):
        folder.locate("nothing")


def test_a_file_longer_than_asked_for_is_not_read(folder: FolderFiles) -> None:
    with pytest.raises(StoreError, match="4 bytes, at most 3"):
        folder.read(BLOB, 3)


@pytest.mark.parametrize("name", ["../secret", "blobs/../../secret", "/../secret", "a\0b"])
def test_d01_a_name_never_leaves_the_folder(folder: FolderFiles, name: str) -> None:
    with pytest.raises(StoreError):
        folder.find(name)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../secret", "01"])
def test_p20_a_blob_that_is_a_link_is_refused(folder: FolderFiles, target: str) -> None:
    path = Path(folder.path)
    (path / "blobs/sha256/01").write_bytes(b"other")
    (path / BLOB).unlink()
    (path / BLOB).symlink_to(target)
    with pytest.raises(StoreError, match="it is a link"):
        folder.find(BLOB)


def test_p20_a_folder_below_that_is_a_link_is_refused(folder: FolderFiles, tmp_path: Path) -> None:
    path = Path(folder.path)
    (path / "blobs").rename(tmp_path / "elsewhere")
    (path / "blobs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="it is a link"):
        folder.find(BLOB)


def test_p20_a_fifo_is_refused_without_waiting_for_its_writer(folder: FolderFiles) -> None:
    os.mkfifo(f"{folder.path}/pipe")
    with pytest.raises(StoreError, match="no regular file"):
        folder.find("pipe")


def test_p20_a_socket_and_a_folder_are_no_files(folder: FolderFiles, monkeypatch) -> None:
    monkeypatch.chdir(folder.path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for name in ("socket", "blobs"):
            with pytest.raises(StoreError, match="no regular file"):
                folder.find(name)


def test_the_folder_itself_may_be_named_through_a_link(folder: FolderFiles, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to("store")
    assert FolderFiles(str(tmp_path / "alias")).read("index.json", 10) == b"{}"


def test_a_location_survives_a_change_of_the_working_folder(tmp_path: Path, monkeypatch) -> None:
    write_folder(tmp_path / "store", {BLOB: b"blob"})
    monkeypatch.chdir(tmp_path)
    files = FolderFiles("store")
    monkeypatch.chdir("/")
    assert content(files, BLOB) == b"blob"


def test_a_folder_that_was_replaced_is_noticed(folder: FolderFiles, tmp_path: Path) -> None:
    os.rename(folder.path, tmp_path / "old")
    write_folder(folder.path, {BLOB: b"other"})
    with pytest.raises(StoreError, match="replaced"):
        folder.find(BLOB)


def test_thousands_of_folders_keep_no_descriptor(folder: FolderFiles) -> None:
    before = len(os.listdir("/proc/self/fd"))
    kept = [FolderFiles(folder.path) for _ in range(100)]
    locations = [files.locate(BLOB) for files in kept]
    assert len(os.listdir("/proc/self/fd")) == before
    assert len(locations) == 100


def test_d02_in_an_unpacked_archive_one_link_may_stand_for_a_file(tmp_path: Path) -> None:
    files = {"b/layer.tar": b"x", "a/layer.tar": Link("../b/layer.tar"), "c": Link("a/layer.tar")}
    store = FolderFiles(write_folder(tmp_path / "s", files), links=True)
    assert content(store, "a/layer.tar") == b"x"
    with pytest.raises(StoreError):
        store.find("c")
    os.symlink("/etc/passwd", tmp_path / "s/d")
    with pytest.raises(StoreError, match="out of the archive"):
        store.find("d")


def test_names_are_cleaned_and_links_stay_inside() -> None:
    assert clean_name("s", "././a//b/.") == "a/b"
    assert link_target("s", "a/b", "./../c") == "c"
    for target in ("../../c", "/c", "..//../c"):
        with pytest.raises(StoreError):
            link_target("s", "a/b", target)


# --- archives


@pytest.mark.parametrize("prefix", ["", "./"])
def test_an_archive_gives_its_members_by_name(tmp_path: Path, prefix: str) -> None:
    path = write_tar(
        tmp_path / "a.tar", {BLOB: b"blob" * 300, "e": None, "index.json": b"{}"}, prefix=prefix
    )
    files = open_archive(path)
    assert list(files.names()) == [BLOB, "index.json"]
    assert content(files, BLOB) == b"blob" * 300
    assert files.read("/index.json", 10) == b"{}"
    assert files.find("nothing") is None


@pytest.mark.parametrize("name", ["../secret", "a/../../secret"])
def test_d01_a_member_that_leaves_the_archive_is_never_found(tmp_path: Path, name: str) -> None:
    members = [Member(name, "file", 512, 1), Member("ok", "file", 1536, 1)]
    files = ArchiveFiles("a.tar", members, open=None)
    assert list(files.names()) == ["ok"]
    with pytest.raises(StoreError, match=r"'\.\.'"):
        files.find(name)
    with pytest.raises((StoreError, TarError)):
        open_archive(write_tar(tmp_path / "a.tar", {name: b"x"})).find(name)


@pytest.mark.parametrize("hard", [False, True])
def test_d02_a_link_leads_to_a_member_in_one_step(tmp_path: Path, hard: bool) -> None:
    target = "b/layer.tar" if hard else "../b/layer.tar"
    files = open_archive(
        write_tar(tmp_path / "a.tar", {"b/layer.tar": b"x", "a/layer.tar": Link(target, hard)})
    )
    assert content(files, "a/layer.tar") == b"x"


@pytest.mark.parametrize(
    "links",
    [
        {"a": Link("b"), "b": Link("c"), "c": b"x"},
        {"a": Link("a")},
        {"a": Link("b"), "b": Link("a")},
        {"a": Link("gone")},
        {"a": Link("gone", hard=True)},
        {"a": Link("../../etc/passwd")},
        {"a": Link("/etc/passwd")},
        {"a": Link("../etc/passwd", hard=True)},
        {"a": Link("folder"), "folder": None},
    ],
)
def test_d02_a_link_that_leads_elsewhere_is_refused(tmp_path: Path, links) -> None:
    files = open_archive(write_tar(tmp_path / "a.tar", links))
    with pytest.raises(StoreError):
        files.find("a")


@pytest.mark.parametrize("name", ["manifest.json", "x/json", "repositories", "oci-layout"])
def test_d03_a_document_that_stands_twice_is_refused(tmp_path: Path, name: str) -> None:
    files = open_archive(write_tar(tmp_path / "a.tar", [(name, b"[]"), (f"./{name}", b"{}")]))
    with pytest.raises(StoreError, match="twice"):
        files.read(name, 10)


def test_d03_of_layers_that_stand_twice_the_last_counts_unless_strict(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [("layer.tar", b"old"), ("layer.tar", b"new")])
    files = open_archive(path)
    assert content(files, "layer.tar") == b"new"
    assert files.findings == ["layer.tar is in the archive twice, the last one counts"]
    with pytest.raises(TarError, match="second entry"):
        open_archive(path, profile="strict")
    members = [Member("layer.tar", "file", 512, 3), Member("./layer.tar", "file", 1536, 3)]
    with pytest.raises(StoreError, match="twice"):
        ArchiveFiles("a.tar", members, open=None, profile="strict").find("layer.tar")


@pytest.mark.parametrize("kind", ["sparse", "other"])
def test_d02_only_regular_members_are_read(kind: str) -> None:
    files = ArchiveFiles("a.tar", [Member("x", kind)], open=None)
    with pytest.raises(StoreError):
        files.find("x")


def test_an_archive_that_ends_early_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(tar_of({"index.json": b"{}", "blob": b"x" * 5000})[:4000])
    with pytest.raises(TarError):
        open_archive(str(path))


def test_an_archive_that_changes_meanwhile_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    files = open_archive(write_tar(path, {"index.json": b"{}"}))
    path.write_bytes(tar_of({"index.json": b"[]", "more": b"x" * 100000}))
    with pytest.raises(StoreError, match="changed"):
        files.read("index.json", 10)


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_d05_of_a_compressed_archive_documents_are_kept(tmp_path: Path, codec: str) -> None:
    files = {"layer.tar": b"x" * 9000, "sha256:00": b'{"a":1}', "VERSION": b"1.0"}
    archive = open_archive(write_tar(tmp_path / "a", files, codec=codec, prefix="./"))
    assert archive.read("sha256:00", 100) == b'{"a":1}'
    assert archive.read("VERSION", 100) == b"1.0"
    assert archive.locate("layer.tar").open is None
    assert archive.locate("layer.tar").size == 9000
    with pytest.raises(StoreError, match="stream"):
        archive.read("layer.tar", 10000)


def test_d05_what_is_kept_of_a_stream_is_bounded(tmp_path: Path, monkeypatch) -> None:
    assert KEPT_BYTES <= 64 << 20
    monkeypatch.setattr("ocifast.ops.archive_table.KEPT_BYTES", 5000)
    files = {f"{number}.json": b"{" + b" " * 1000 + b"}" for number in range(10)}
    archive = open_archive(write_tar(tmp_path / "a", files, codec="gzip"))
    assert archive.read("0.json", 2000)
    with pytest.raises(StoreError, match="stream"):
        archive.read("9.json", 2000)


def test_an_archive_can_come_through_a_pipe(tmp_path: Path, monkeypatch) -> None:
    path = write_tar(tmp_path / "a", {"index.json": b"{}", "blob": b"x" * 9000})
    read, write = os.pipe()
    os.write(write, Path(path).read_bytes())
    os.close(write)
    saved = os.dup(0)
    os.dup2(read, 0)
    try:
        files = open_archive("-")
    finally:
        os.dup2(saved, 0)
        os.close(saved)
        os.close(read)
    assert files.read("index.json", 10) == b"{}"


@pytest.mark.parametrize("magic", [b"\xfd7zXZ\0\0\0\0\0", b"BZh91AY&SY"])
def test_xz_and_bzip2_are_refused_by_name(tmp_path: Path, magic: bytes) -> None:
    (tmp_path / "a").write_bytes(magic * 10)
    with pytest.raises(UnknownCodec):
        open_archive(str(tmp_path / "a"))


def test_a_huge_archive_is_read_by_its_headers(tmp_path: Path) -> None:
    from ocifast.formats.tar_writer import END, member_header

    with open(tmp_path / "a", "wb") as file:
        for name in ("one", "two"):
            file.write(member_header(name, 9 << 30))
            file.seek(9 << 30, os.SEEK_CUR)
        file.write(member_header("index.json", 2) + b"{}" + bytes(510) + END)
    files = open_archive(str(tmp_path / "a"))
    assert files.locate("two").size == 9 << 30
    assert files.read("index.json", 10) == b"{}"
