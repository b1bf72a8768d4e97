"""Blobs by digest: whole or not there, never through a link, linked where that is possible."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.layers import sha256

from ocifast.errors import DigestSyntaxError, SizeMismatch, StateError, StoreError
from ocifast.transports import copying, pending_file
from ocifast.transports.base import Location
from ocifast.transports.blob_store import BlobStore

BLOB = b"layer " * 5000
DIGEST = sha256(BLOB)
PATH = "blobs/sha256/" + DIGEST[7:]


@pytest.fixture
def store(tmp_path: Path):
    with BlobStore(str(tmp_path / "store")) as opened:
        yield opened


@pytest.fixture(params=["unnamed", "hidden"])
def either(request, monkeypatch):
    """With O_TMPFILE, and as on file systems that have none."""
    if request.param == "hidden":
        monkeypatch.setattr(pending_file.PendingFile, "_open_unnamed", lambda self: None)


def written(store: BlobStore, blob: bytes = BLOB):
    pending = store.pending()
    os.write(pending.descriptor, blob)
    return pending


def location(path: Path, offset: int = 0, size: int = len(BLOB)) -> Location:
    return Location(lambda: os.open(path, os.O_RDONLY), offset, size)


def everything(store: BlobStore) -> list[str]:
    return sorted(
        str(path.relative_to(store.root)) for path in Path(store.root).rglob("*") if path.is_file()
    )


def test_a_blob_has_its_name_when_it_is_published(store: BlobStore, either) -> None:
    pending = written(store)
    assert not store.has(DIGEST, len(BLOB))
    assert [name for name in everything(store) if name.startswith("blobs")] == []
    store.publish(pending, DIGEST, len(BLOB))
    assert store.has(DIGEST, len(BLOB))
    assert everything(store) == [PATH]
    assert (Path(store.root) / PATH).read_bytes() == BLOB


def test_a_blob_that_is_dropped_leaves_nothing(store: BlobStore, either) -> None:
    written(store).close()
    with store.pending() as pending:
        os.write(pending.descriptor, b"x")
    assert everything(store) == []


def test_a_blob_of_another_size_is_not_published(store: BlobStore, either) -> None:
    with written(store) as pending, pytest.raises(SizeMismatch):
        store.publish(pending, DIGEST, len(BLOB) + 1)
    assert everything(store) == []


def test_a_blob_that_is_there_is_kept(store: BlobStore, either) -> None:
    store.publish(written(store), DIGEST, len(BLOB))
    before = os.stat(f"{store.root}/{PATH}").st_ino
    store.publish(written(store), DIGEST, len(BLOB))
    assert os.stat(f"{store.root}/{PATH}").st_ino == before
    assert everything(store) == [PATH]


@pytest.mark.parametrize("other", ["shorter", "folder", "link"])
def test_p20_something_else_in_the_place_of_a_blob_is_an_error(
    store: BlobStore, tmp_path: Path, other: str
) -> None:
    path = Path(store.root) / PATH
    if other == "shorter":
        path.write_bytes(b"x")
    elif other == "folder":
        path.mkdir()
    else:
        (tmp_path / "elsewhere").write_bytes(BLOB)
        path.symlink_to(tmp_path / "elsewhere")
    assert not store.has(DIGEST, len(BLOB))
    with written(store) as pending, pytest.raises(StoreError, match="something else is there"):
        store.publish(pending, DIGEST, len(BLOB))
    if other == "link":
        with pytest.raises(OSError, match="symbolic links"):
            store.open(DIGEST)


@pytest.mark.parametrize("name", ["blobs", "blobs/sha256"])
def test_p20_a_store_whose_folders_are_links_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "store" / name).parent.mkdir(parents=True)
    (tmp_path / "store" / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="it is a link"):
        BlobStore(str(tmp_path / "store"))
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("digest", ["sha256:../../x", "x", "sha256:" + "A" * 64])
def test_j07_no_digest_becomes_a_path_unseen(store: BlobStore, digest: str) -> None:
    for call in (lambda: store.has(digest, 1), lambda: store.open(digest)):
        with pytest.raises(DigestSyntaxError):
            call()
    with store.pending() as pending, pytest.raises(DigestSyntaxError):
        store.publish(pending, digest, 0)


def test_a_sha512_blob_has_a_folder_of_its_own(store: BlobStore) -> None:
    import hashlib

    digest = "sha512:" + hashlib.sha512(BLOB).hexdigest()
    store.publish(written(store), digest, len(BLOB))
    assert everything(store) == ["blobs/sha512/" + digest[7:]]


def test_a_document_is_put_by_its_content(store: BlobStore, either) -> None:
    assert store.put(BLOB) == store.put(BLOB) == DIGEST
    assert everything(store) == [PATH]


def test_a_whole_file_is_linked(store: BlobStore, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(BLOB)
    how = store.link(location(tmp_path / "source"), DIGEST, len(BLOB))
    assert how in ("reflink", "hardlink")
    assert (Path(store.root) / PATH).read_bytes() == BLOB
    assert store.link(location(tmp_path / "source"), DIGEST, len(BLOB)) == "present"


def test_a_file_that_cannot_be_linked_is_copied(
    store: BlobStore, tmp_path: Path, monkeypatch, either
) -> None:
    def refuse(*arguments, **options):
        raise OSError(errno.EXDEV, "another file system")

    if hasattr(os, "copy_file_range"):
        monkeypatch.setattr(os, "copy_file_range", refuse)
    monkeypatch.setattr("ocifast.transports.blob_store.link_open_file", lambda *_: False)
    monkeypatch.setattr("ocifast.transports.blob_store.clone_file", lambda *_: False)
    (tmp_path / "source").write_bytes(BLOB)
    assert store.link(location(tmp_path / "source"), DIGEST, len(BLOB)) == "copied"
    assert everything(store) == [PATH]


def test_a_part_of_a_file_is_copied(store: BlobStore, tmp_path: Path, either) -> None:
    (tmp_path / "source").write_bytes(b"x" * 700 + BLOB + b"y" * 5)
    assert store.link(location(tmp_path / "source", 700), DIGEST, len(BLOB)) == "copied"
    assert (Path(store.root) / PATH).read_bytes() == BLOB
    assert os.stat(f"{store.root}/{PATH}").st_nlink == 1


def test_a_part_that_ends_early_is_not_kept(store: BlobStore, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x" * 700 + BLOB[:-1])
    with pytest.raises(SizeMismatch):
        store.link(location(tmp_path / "source", 700), DIGEST, len(BLOB))
    with pytest.raises(SizeMismatch):
        store.link(location(tmp_path / "source", 700, 5), DIGEST, len(BLOB))
    assert everything(store) == []


def test_what_lies_in_a_stream_cannot_be_linked(store: BlobStore) -> None:
    with pytest.raises(StateError):
        store.link(Location(None, 0, len(BLOB)), DIGEST, len(BLOB))


def test_the_kernel_copies_when_it_can_and_reading_does_when_not(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(BLOB)
    source = os.open(tmp_path / "source", os.O_RDONLY)
    target = os.open(tmp_path / "target", os.O_RDWR | os.O_CREAT)
    copying.copy_window(source, target, 6, 12)
    copying.copy_window(source, target, 0, 6)
    os.close(source)
    os.close(target)
    assert (tmp_path / "target").read_bytes() == b"layer " * 3


def test_an_error_names_the_file(store: BlobStore, monkeypatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    pending = written(store)
    monkeypatch.setattr(os, "fdatasync", fail)
    with pending, pytest.raises(OSError, match="No space") as error:
        store.publish(pending, DIGEST, len(BLOB))
    assert error.value.filename.startswith(store.root)
    assert everything(store) == []


def test_a_store_that_cannot_be_made_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file") as error:
        BlobStore(str(tmp_path / "file"))
    assert error.value.filename == str(tmp_path / "file")


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = BlobStore(str(tmp_path / "store"))
    store.close()
    store.close()
    with pytest.raises(StateError):
        store.pending()


KILLED = """
import os, signal, sys
from ocifast.transports import pending_file
from ocifast.transports.blob_store import BlobStore
pending_file.PendingFile._open_unnamed = lambda self: None
pending = BlobStore(sys.argv[1]).pending()
os.write(pending.descriptor, b"half")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_hidden_is_removed_by_the_next(tmp_path: Path) -> None:
    root = tmp_path / "store"
    subprocess.run([sys.executable, "-P", "-c", KILLED, root], check=False, timeout=60)
    assert len(list(root.glob(".ocifast-tmp-*"))) == 1
    with BlobStore(str(root)) as store:
        assert everything(store) == []


def test_what_a_living_process_has_hidden_is_left_alone(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(pending_file.PendingFile, "_open_unnamed", lambda self: None)
    with BlobStore(str(tmp_path / "store")) as first, written(first) as pending:
        with BlobStore(str(tmp_path / "store")):
            pass
        first.publish(pending, DIGEST, len(BLOB))
        assert everything(first) == [PATH]


def test_what_is_about_to_be_renamed_is_left_alone(tmp_path: Path, monkeypatch, either) -> None:
    rename = os.rename

    def clean_first(*arguments, **options):
        BlobStore(str(tmp_path)).close()  # another process that begins just then
        rename(*arguments, **options)

    monkeypatch.setattr(os, "rename", clean_first)
    folder = os.open(tmp_path, os.O_RDONLY)
    with pending_file.PendingFile(folder, str(tmp_path)) as pending:
        pending.replace("name", folder)
    os.close(folder)
    assert (tmp_path / "name").exists()


def test_a_descriptor_is_left_over_nowhere(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    (tmp_path / "source").write_bytes(BLOB)
    with BlobStore(str(tmp_path / "store")) as store:
        store.link(location(tmp_path / "source"), DIGEST, len(BLOB))
        store.put(b"{}")
        os.close(store.locate(DIGEST).open())
    assert len(os.listdir("/proc/self/fd")) == before
