"""Names in a tree, opened as by who has it as its root: no name and no link leads out of it."""

import os

import pytest
from support.processes import descriptors

from ocifast._native.tree_open import open_in_root
from ocifast.errors import TreeError

FOLDER = os.O_RDONLY | os.O_DIRECTORY
IS_ROOT = os.geteuid() == 0


@pytest.fixture
def tree(tmp_path):
    """The root, a descriptor of it; beside it lies a file that nothing in it may reach."""
    (tmp_path / "secret").write_bytes(b"secret")
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_bytes(b"inside")
    descriptor = os.open(root, FOLDER)
    before = descriptors()
    yield root, descriptor
    assert descriptors() == before, "what was opened is closed"
    os.close(descriptor)


def read(root, path):
    descriptor = open_in_root(root, path)
    try:
        assert not os.get_inheritable(descriptor)
        return os.read(descriptor, 100)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    "path",
    [b"etc/passwd", b"/etc/passwd", b"../../etc/passwd", b"etc/../etc/./passwd", b"//etc//passwd"],
)
def test_every_way_to_write_a_name_starts_at_the_root_and_stays_in_it(tree, path) -> None:
    assert read(tree[1], path) == b"inside"


@pytest.mark.parametrize(
    "target", ["/etc/passwd", "etc/passwd", "../../../etc/passwd", "/link/../etc/passwd"]
)
def test_p19_a_link_leads_where_it_would_if_the_tree_were_all(tree, target) -> None:
    root, descriptor = tree
    (root / "link").symlink_to("etc")
    (root / "way").symlink_to(target)
    assert read(descriptor, b"way") == b"inside"


@pytest.mark.parametrize("up", ["..", "../..", "../../../../../../../.."])
def test_p19_a_link_out_of_the_tree_leads_to_nothing(tree, tmp_path, up) -> None:
    root, descriptor = tree
    for target in (f"{up}/secret", f"{tmp_path}/secret"):
        (root / "way").unlink(missing_ok=True)
        (root / "way").symlink_to(target)
        with pytest.raises(FileNotFoundError) as caught:
            read(descriptor, b"way")
        assert caught.value.filename == "way"


def test_p19_a_link_to_itself_is_an_error_of_the_system(tree) -> None:
    (tree[0] / "way").symlink_to("way")
    with pytest.raises(OSError, match="way"):
        read(tree[1], b"way")


def test_p19_links_of_procfs_are_not_followed(tmp_path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    secret, root = os.open(tmp_path / "secret", os.O_RDONLY), os.open("/proc/self", FOLDER)
    try:
        with pytest.raises(OSError, match="symbolic links"):
            read(root, b"fd/%d" % secret)
        with pytest.raises(OSError, match="symbolic links"):
            open_in_root(root, b"cwd", folder=True)
    finally:
        os.close(secret)
        os.close(root)


def test_p19_a_pipe_is_refused_and_nobody_waits(tree) -> None:
    os.mkfifo(tree[0] / "pipe")
    with pytest.raises(TreeError, match="pipe: it is no regular file"):
        open_in_root(tree[1], b"pipe")


@pytest.mark.parametrize("name", [b"etc", b".", b"/"])
def test_p19_a_folder_is_no_file(tree, name) -> None:
    with pytest.raises(TreeError, match="no regular file"):
        open_in_root(tree[1], name)


@pytest.mark.skipif(not IS_ROOT, reason="only root may make devices")
def test_p19_a_device_is_refused(tree) -> None:
    try:
        os.mknod(tree[0] / "null", 0o20666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("no devices can be made here")
    with pytest.raises(TreeError, match="null: it is no regular file"):
        open_in_root(tree[1], b"null")


def test_a_folder_is_opened_to_look_things_up_in(tree) -> None:
    root, descriptor = tree
    (root / "way").symlink_to("/etc")
    folder = open_in_root(descriptor, b"way", folder=True)
    try:
        assert os.path.samestat(os.fstat(folder), os.stat(root / "etc"))
        assert read(folder, b"/passwd") == b"inside"
    finally:
        os.close(folder)
    with pytest.raises(NotADirectoryError):
        open_in_root(descriptor, b"etc/passwd", folder=True)


def test_what_is_not_there_is_named(tree) -> None:
    for path in (b"none", b"etc/none", b"none/\xff"):
        with pytest.raises(FileNotFoundError) as caught:
            open_in_root(tree[1], path)
        assert os.fsencode(caught.value.filename) == path
    with pytest.raises(NotADirectoryError):
        open_in_root(tree[1], b"etc/passwd/none")
    with pytest.raises(OSError, match="too long"):
        open_in_root(tree[1], b"x" * 300)


@pytest.mark.parametrize("path", [b"", b"etc/pass\0wd"])
def test_what_is_no_path_is_refused(tree, path) -> None:
    with pytest.raises(ValueError, match="is no path"):
        open_in_root(tree[1], path)


def test_a_descriptor_that_is_none_is_an_error_of_the_system() -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        open_in_root(-1, b"etc")
