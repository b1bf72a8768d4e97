"""Files of an image read by name, and folders made in it: whatever is in it, nothing leads out."""

import os
import tracemalloc

import pytest
from support.processes import descriptors

from ocifast.errors import TreeError
from ocifast.ops.rooted_files import FILE_BYTES, LINE_BYTES, is_below, make_folders, read_rooted


@pytest.fixture
def tree(tmp_path):
    """The root, a descriptor of it; what is opened meanwhile has to be closed."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/passwd").write_bytes(b"outside\n")
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    before = descriptors()
    yield root, descriptor
    assert descriptors() == before
    assert os.listdir(tmp_path / "outside") == ["passwd"]
    os.close(descriptor)


def made(tree, path):
    """Make folders; the paths of those that were not there."""
    new = []
    folder = make_folders(
        tree[1], path, lambda each: new.append(os.readlink(f"/proc/self/fd/{each}"))
    )
    where = os.readlink(f"/proc/self/fd/{folder}")
    os.close(folder)
    return where.removeprefix(str(tree[0])), [each.removeprefix(str(tree[0])) for each in new]


# ---- reading ----


def test_a_file_is_read_and_one_that_is_not_there_is_empty(tree) -> None:
    (tree[0] / "etc/passwd").write_bytes(b"root:x:0:0\n")
    assert read_rooted(tree[1], "etc/passwd") == b"root:x:0:0\n"
    assert read_rooted(tree[1], "etc/group") == b""
    assert read_rooted(tree[1], "none/passwd") == b""
    assert read_rooted(tree[1], "etc/passwd/x") == b""


def test_p19_links_are_followed_inside_and_never_out(tree, tmp_path) -> None:
    (tree[0] / "inside").write_bytes(b"inside\n")
    for target, expected in {
        "/inside": b"inside\n",
        "../inside": b"inside\n",
        "../../../inside": b"inside\n",
        str(tmp_path / "outside/passwd"): b"",
        "../../outside/passwd": b"",
    }.items():
        (tree[0] / "etc/passwd").unlink(missing_ok=True)
        (tree[0] / "etc/passwd").symlink_to(target)
        assert read_rooted(tree[1], "etc/passwd") == expected


def test_p19_what_is_no_regular_file_is_refused(tree) -> None:
    os.mkfifo(tree[0] / "etc/passwd")
    (tree[0] / "etc/group").mkdir()
    for name in ("etc/passwd", "etc/group"):
        with pytest.raises(TreeError, match=f"{name}: it is no regular file"):
            read_rooted(tree[1], name)


def test_p19_a_file_that_is_too_long_is_refused(tree) -> None:
    path = tree[0] / "etc/passwd"
    path.write_bytes(b"x:x:1:1\n" * (FILE_BYTES // 8))
    assert len(read_rooted(tree[1], "etc/passwd")) == FILE_BYTES
    with path.open("ab") as file:
        file.write(b"\n")
    with pytest.raises(TreeError, match="more than 1048576 bytes"):
        read_rooted(tree[1], "etc/passwd")


def test_p19_a_file_that_claims_a_terabyte_costs_no_memory(tree) -> None:
    with (tree[0] / "etc/passwd").open("wb") as file:
        file.truncate(1 << 40)
    tracemalloc.start()
    with pytest.raises(TreeError, match="more than"):
        read_rooted(tree[1], "etc/passwd")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * FILE_BYTES


def test_p19_a_line_that_is_too_long_is_refused(tree) -> None:
    path = tree[0] / "etc/passwd"
    path.write_bytes(b"a\n" + b"x" * LINE_BYTES + b"\n")
    assert read_rooted(tree[1], "etc/passwd")
    path.write_bytes(b"a\n" + b"x" * (LINE_BYTES + 1))
    with pytest.raises(TreeError, match="a line of more than 65536 bytes"):
        read_rooted(tree[1], "etc/passwd")


def test_a_file_that_may_not_be_read_is_named(tree) -> None:
    (tree[0] / "etc/passwd").symlink_to("passwd")
    with pytest.raises(OSError, match="etc/passwd"):
        read_rooted(tree[1], "etc/passwd")


# ---- folders ----


def test_a_folder_that_is_there_is_opened(tree) -> None:
    assert made(tree, "/etc") == ("/etc", [])
    assert made(tree, "/") == ("", [])


def test_folders_that_are_not_there_are_made(tree) -> None:
    assert made(tree, "/etc/a/b") == ("/etc/a/b", ["/etc/a", "/etc/a/b"])
    assert made(tree, "/etc/a/b") == ("/etc/a/b", [])


def test_b03_links_on_the_way_lead_inside(tree, tmp_path) -> None:
    (tree[0] / "way").symlink_to("/etc")
    (tree[0] / "up").symlink_to("../../../../etc")
    assert made(tree, "/way/a") == ("/etc/a", ["/etc/a"])
    assert made(tree, "/up/b/c") == ("/etc/b/c", ["/etc/b", "/etc/b/c"])
    (tree[0] / "out").symlink_to(tmp_path / "outside")
    with pytest.raises(TreeError, match="/out: it is a link that leads nowhere"):
        made(tree, "/out/a")
    assert sorted(os.listdir(tree[0])) == ["etc", "out", "up", "way"]


def test_b03_a_file_on_the_way_is_refused(tree) -> None:
    (tree[0] / "file").write_bytes(b"")
    for path in ("/file", "/file/a"):
        with pytest.raises(TreeError, match="/file: it is no folder"):
            made(tree, path)


def test_what_cannot_be_made_is_an_error_of_the_system(tree) -> None:
    with pytest.raises(OSError, match="too long"):
        made(tree, "/" + "x" * 300)


def test_a_failure_of_who_is_told_closes_everything(tree) -> None:
    with pytest.raises(ZeroDivisionError):
        make_folders(tree[1], "/a/b", lambda _: 1 // 0)


def test_b03_a_folder_is_found_below_another_whatever_link_led_there(tree) -> None:
    (tree[0] / "proc/self/fd/7").mkdir(parents=True)
    (tree[0] / "link").symlink_to("proc/self/fd")
    for path, below in {
        "/proc": True,
        "/proc/self": True,
        "/link/7": True,
        "/etc": False,
        "/": False,
    }.items():
        folder = make_folders(tree[1], path, lambda _: None)
        try:
            assert is_below(tree[1], folder, "/proc") is below
            assert is_below(tree[1], folder, "/none") is False
        finally:
            os.close(folder)
