"""Which entries of a tree are taken."""

import pytest

from ocifast.ops.tree_selection import check_listed, clean_path, selection


def kept(keep, *paths):
    """Walk as the native walk does: nothing below what is refused is asked for."""
    found, refused = [], set()
    for path in paths:
        is_directory = path.endswith("/")
        name = path.rstrip("/").encode()
        if any(name.startswith(each + b"/") for each in refused):
            continue
        if keep(name, is_directory):
            found.append(path)
        else:
            refused.add(name)
    return found


TREE = ("a/", "a/b", "a/c.pyc", "a/d/", "a/d/e.pyc", "docs/", "docs/x", "top.pyc")


def test_without_patterns_and_lists_nothing_is_asked():
    assert selection([], None) is None


def test_patterns_are_those_of_a_gitignore():
    keep = selection(["*.pyc", "!c.pyc", "/docs/"], None)
    assert kept(keep, *TREE) == ["a/", "a/b", "a/c.pyc", "a/d/"]


def test_what_is_below_an_excluded_folder_cannot_be_taken_back():
    assert kept(selection(["a/", "!a/b"], None), *TREE) == ["docs/", "docs/x", "top.pyc"]


def test_a_pattern_with_a_slash_at_its_end_means_folders_only():
    assert kept(selection(["docs/"], None), "docs", "x/", "x/docs/") == ["docs", "x/"]


def test_names_that_are_not_utf_8_are_matched():
    keep = selection(["*.bin"], None)
    assert not keep(b"\xff.bin", False)
    assert keep(b"\xff.txt", False)


def test_a_listed_folder_brings_what_is_below_it_and_its_parents():
    assert kept(selection([], [b"a/d"]), *TREE) == ["a/", "a/d/", "a/d/e.pyc"]
    assert kept(selection([], [b"./a//b", b"top.pyc"]), *TREE) == ["a/", "a/b", "top.pyc"]


def test_a_listed_root_is_everything():
    assert kept(selection([], [b"."]), *TREE) == list(TREE)


def test_a_file_above_a_listed_path_is_not_taken_for_its_folder():
    assert kept(selection([], [b"docs/x/y"]), "docs/", "docs/x") == ["docs/"]


def test_patterns_and_lists_both_decide():
    assert kept(selection(["*.pyc"], [b"a"]), *TREE) == ["a/", "a/b", "a/d/"]


@pytest.mark.parametrize("path", [b"/etc", b"..", b"a/../b"])
def test_a_list_does_not_lead_out_of_the_tree(path):
    with pytest.raises(ValueError, match="not below the tree"):
        clean_path(path)


def test_a_listed_path_that_is_not_there_is_named():
    check_listed([b"./a", b"."], {b"a"})
    with pytest.raises(FileNotFoundError, match="listed") as caught:
        check_listed([b"a", b"b/c/"], {b"a"})
    assert caught.value.filename == "b/c"


def test_a_pattern_that_cannot_be_read_is_refused():
    with pytest.raises(ValueError, match="pattern"):
        selection(["!"], None)
