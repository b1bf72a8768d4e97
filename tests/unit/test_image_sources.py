"""What a person names becomes single references: in a fixed order, and nothing is passed over."""

import os

import pytest

from ocifast.ops.image_sources import expand_sources, is_image


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    """Every test names files relative to a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(*names):
    """Files, and folders where a name ends with a slash."""
    for name in names:
        if name.endswith("/"):
            os.makedirs(name, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
            with open(name, "w"):
                pass


def test_what_is_named_singly_is_given_as_it_is_even_when_it_is_not_there():
    given = ["missing.tar", "oci:images:app", "docker-archive:a.tar:@1", "dir:x:y", "-"]
    assert expand_sources(given) == given


def test_no_sources_are_no_references():
    assert expand_sources([]) == []


# ---- globs ----


def test_a_glob_stands_for_what_it_matches_in_the_order_of_names():
    make("b.tar", "a.tar", "c.txt", "sub/d.tar")
    assert expand_sources(["*.tar"]) == ["a.tar", "b.tar"]
    assert expand_sources(["c.txt", "?.tar"]) == ["c.txt", "a.tar", "b.tar"]
    assert expand_sources(["**/*.tar"]) == ["a.tar", "b.tar", "sub/d.tar"]
    assert expand_sources(["[ab].tar"]) == ["a.tar", "b.tar"]


def test_a_glob_behind_a_transport_keeps_transport_and_name():
    make("a.tar", "b.tar")
    expected = ["docker-archive:a.tar", "docker-archive:b.tar"]
    assert expand_sources(["docker-archive:*.tar"]) == expected
    expected = ["docker-archive:a.tar:app:1", "docker-archive:b.tar:app:1"]
    assert expand_sources(["docker-archive:*.tar:app:1"]) == expected


@pytest.mark.parametrize("source", ["*.tar", "docker-archive:*.tar", "oci:no*:name"])
def test_a_glob_that_matches_nothing_is_an_error_that_names_it(source):
    with pytest.raises(FileNotFoundError, match="no file matches"):
        expand_sources([source])


def test_a_name_with_the_letters_of_a_glob_is_itself_when_it_exists():
    make("[a].tar", "a.tar", "x*.tar", "xy.tar", "[lay]/index.json")
    assert expand_sources(["[a].tar", "x*.tar"]) == ["[a].tar", "x*.tar"]
    assert expand_sources(["oci:[lay]:name"]) == ["oci:[lay]:name"]
    assert expand_sources(["*.tar"]) == ["[a].tar", "a.tar", "x*.tar", "xy.tar"]


def test_a_glob_that_matches_a_folder_stands_for_what_is_in_it():
    make("in1/a.tar", "in2/b.tar", "in3/oci-layout")
    assert expand_sources(["in*"]) == ["in1/a.tar", "in2/b.tar", "in3"]


@pytest.mark.parametrize("name", ["a b.tar", "a\n.tar", "ä.tar", "-a.tar", "a:b.tar", "\udcff.tar"])
def test_strange_names_survive_a_glob_and_a_folder(name):
    make(f"in/{name}")
    assert expand_sources(["in/*.tar"]) == [f"in/{name}"]
    assert expand_sources(["in"]) == [f"in/{name}"]


# ---- folders ----


def test_a_folder_stands_for_all_archives_and_layouts_below_it():
    make(
        "in/b.tar",
        "in/a.tar.gz",
        "in/readme.txt",
        "in/z/c.tgz",
        "in/y/d.tar.zst",
        "in/layout/index.json",
        "in/layout/blobs/sha256/x.tar",
        "in/y/unpacked/manifest.json",
        "in/e.oci",
        "in/f.docker",
        "in/g.tzst",
    )
    assert expand_sources(["in"]) == [
        "in/a.tar.gz",
        "in/b.tar",
        "in/e.oci",
        "in/f.docker",
        "in/g.tzst",
        "in/layout",
        "in/y/d.tar.zst",
        "in/y/unpacked",
        "in/z/c.tgz",
    ]


@pytest.mark.parametrize("name", ["oci-layout", "index.json", "manifest.json", "repositories"])
def test_a_folder_that_is_an_image_is_not_looked_into(name):
    make(f"image/{name}", "image/layer.tar")
    assert is_image("image")
    assert expand_sources(["image"]) == ["image"]


def test_a_folder_behind_a_transport_is_that_image():
    make("in/a.tar")
    assert expand_sources(["oci:in", "dir:in"]) == ["oci:in", "dir:in"]


@pytest.mark.parametrize("names", [["in/"], ["in/readme.txt", "in/sub/"]])
def test_a_folder_without_images_is_an_error_that_names_it(names):
    make(*names)
    with pytest.raises(FileNotFoundError, match="holds no image") as caught:
        expand_sources(["in"])
    assert caught.value.filename == "in"


def test_a_link_that_leads_nowhere_is_given_so_that_opening_it_says_so():
    make("in/")
    os.symlink("missing", "in/a.tar")
    assert expand_sources(["in"]) == ["in/a.tar"]
    assert expand_sources(["in/*.tar"]) == ["in/a.tar"]


def test_a_link_to_its_own_folder_is_not_followed_for_ever():
    make("in/a.tar")
    os.symlink(".", "in/loop")
    assert expand_sources(["in"]) == ["in/a.tar"]


def test_a_folder_that_cannot_be_looked_into_is_an_error_not_an_omission(monkeypatch):
    make("in/a.tar", "in/sub/b.tar")
    real = os.scandir

    def refusing(path):
        if os.path.basename(path) == "sub":
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(PermissionError, match="sub"):
        expand_sources(["in"])


# ---- doubles ----


def test_what_is_named_twice_is_meant_once(inside):
    make("a.tar", "b.tar", "in/c.tar")
    assert expand_sources(["b.tar", "*.tar", "a.tar"]) == ["b.tar", "a.tar"]
    assert expand_sources(["./a.tar", f"{inside}/a.tar", "in/../a.tar"]) == ["./a.tar"]
    assert expand_sources(["in", "in/", "in/c.tar"]) == ["in/c.tar"]
    assert expand_sources(["-", "-"]) == ["-"]


def test_other_names_in_one_archive_and_links_to_one_file_are_not_doubles():
    make("a.tar")
    os.symlink("a.tar", "b.tar")
    given = ["a.tar", "b.tar", "docker-archive:a.tar:x", "docker-archive:a.tar:y"]
    assert expand_sources(given) == given
    make("images/index.json")
    assert expand_sources(["images", "images/", "oci:images"]) == ["images", "oci:images"]
