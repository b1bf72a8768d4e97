"""Where images of a run go: decided by names alone, and never one place for two sources."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocifast.errors import ReferenceSyntaxError
from ocifast.ops.output_names import FORMATS, OutputName, output_names, parse_destination, stem

# ---- what is typed behind -o ----


@pytest.mark.parametrize(
    ("dest", "to", "expected"),
    [
        ("out", "oci", OutputName("oci", "out")),
        ("out.tar", "docker-archive", OutputName("docker-archive", "out.tar")),
        ("oci:out", None, OutputName("oci", "out")),
        ("oci:out", "oci", OutputName("oci", "out")),
        ("oci:out:app:1", None, OutputName("oci", "out", "app:1")),
        ("oci-archive:/a/b.tar:1.0", None, OutputName("oci-archive", "/a/b.tar", "1.0")),
        ("docker-archive:b.tar:app", None, OutputName("docker-archive", "b.tar", "app")),
        ("dir:a:b", None, OutputName("dir", "a:b")),
        ("a:b", "oci", OutputName("oci", "a:b")),
        ("docker:app", "dir", OutputName("dir", "docker:app")),
        ("folder/", "oci-archive", OutputName("oci-archive", "folder/")),
    ],
)
def test_a_destination_is_a_format_a_path_and_a_name(dest, to, expected):
    assert parse_destination(dest, to) == expected


@pytest.mark.parametrize(
    ("dest", "to", "reason"),
    [
        ("out", None, "say what to write: one of oci, oci-archive"),
        ("docker:out", None, "say what to write"),
        ("out", None, r"\(oci:out, or --to oci\)"),
        ("out.tar", None, r"\(docker-archive:out.tar, or --to docker-archive\)"),
        ("doker-archive:a.tar:x", None, r"\(docker-archive:a.tar:x\)"),
        ("oci:out", "dir", "it says oci"),
        ("", "oci", "must be a path"),
        ("-", "docker-archive", "must be a path"),
        ("docker-archive:-", None, "must be a path"),
        ("oci:", None, "it has no path"),
        ("oci::name", None, "it has no path"),
        ("oci:out:", None, "nothing stands behind the colon"),
        ("oci:out:bad name", None, "not a name"),
        ("docker-archive:out.tar:UPPER", None, "UPPER"),
        ("oci:out:@0", None, "written under a name"),
        ("oci:out:@sha256:" + "0" * 64, None, "written under a name"),
    ],
)
def test_a_destination_that_cannot_be_meant_is_refused_as_misuse(dest, to, reason):
    with pytest.raises(ReferenceSyntaxError, match=reason) as caught:
        parse_destination(dest, to)
    assert caught.value.exit_code == 2


# ---- names of outputs ----


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("app.tar", "app"),
        ("in/app.tar.gz", "app"),
        ("/in/app.tar.zst", "app"),
        ("app.tgz", "app"),
        ("app.tzst", "app"),
        ("app.oci", "app"),
        ("app.docker", "app"),
        ("app.gz", "app"),
        ("app.tar.gz.tar", "app.tar.gz"),
        ("app-1.2.3", "app-1.2.3"),
        ("app.tar.bak", "app.tar.bak"),
        ("app/", "app"),
        ("a:b.tar", "a:b"),
        ("-", "stdin"),
        ("docker-archive:-", "stdin"),
        ("docker-archive:in/app.tar:team/app:1", "app-team_app_1"),
        ("oci:images:a/b:1", "images-a_b_1"),
        ("oci:images", "images"),
        ("dir:in/x:y", "x:y"),
        (".tar", "tar"),
        ("...tar", "tar"),
        ("...", "image"),
        ("app.tar\n", "app.tar\n"),
    ],
)
def test_the_stem_of_a_source_is_its_name_without_endings(source, expected):
    assert stem(source) == expected


@pytest.mark.parametrize(
    "source", [".", "..", "oci:.", "oci:..:name", "dir:../", "./", "a/..", "/"]
)
def test_a_folder_named_by_dots_is_called_what_it_is_called(source, tmp_path, monkeypatch):
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert stem(source) in {"inner", "outer", "outer-name", "image"}


def formats(*names):
    return pytest.mark.parametrize("format_", names)


@formats("oci", "oci-archive", "docker-archive")
def test_without_a_folder_all_sources_share_one_output(format_, tmp_path):
    one = OutputName(format_, str(tmp_path / "new"))
    assert output_names(one, ["a.tar", "b.tar"], each=False) == [one, one]


@formats("oci-archive", "docker-archive")
@pytest.mark.parametrize("ending", ["", "/"])
def test_in_a_folder_each_source_gets_an_archive(format_, ending, tmp_path):
    folder = str(tmp_path) if not ending else str(tmp_path / "new") + ending
    found = output_names(OutputName(format_, folder), ["x/a.tar.gz", "dir:b"], each=False)
    assert [name.path for name in found] == [os.path.join(folder, n) for n in ("a.tar", "b.tar")]
    assert {name.format for name in found} == {format_}


@formats("oci", "dir")
def test_with_each_every_source_gets_a_folder(format_, tmp_path):
    found = output_names(OutputName(format_, str(tmp_path)), ["a.tar", "b"], each=True)
    assert [os.path.basename(name.path) for name in found] == ["a", "b"]


def test_a_layout_that_exists_is_added_to_not_filled_with_layouts(tmp_path):
    one = OutputName("oci", str(tmp_path))
    assert output_names(one, ["a", "b"], each=False) == [one, one]


def test_a_dir_holds_one_image_so_several_sources_get_one_each(tmp_path):
    path = str(tmp_path / "out")
    assert output_names(OutputName("dir", path), ["a.tar"], each=False)[0].path == path
    found = output_names(OutputName("dir", path), ["a.tar", "b.tar"], each=False)
    assert [name.path for name in found] == [f"{path}/a", f"{path}/b"]


@pytest.mark.parametrize(
    "sources",
    [
        ["x/a.tar", "y/a.tar"],
        ["a.tar", "a.tar.gz"],
        ["docker-archive:a.tar:b/c", "docker-archive:a.tar:b_c"],
        ["a-b.tar", "oci:a:b"],
        ["-", "stdin.tar"],
    ],
)
def test_two_sources_that_would_become_one_output_are_refused(sources, tmp_path):
    with pytest.raises(ReferenceSyntaxError, match="would be written to") as caught:
        output_names(OutputName("oci-archive", str(tmp_path)), sources, each=True)
    assert sources[0] in str(caught.value)


def test_one_name_is_not_given_to_several_sources(tmp_path):
    named = OutputName("oci", str(tmp_path), "app:1")
    assert output_names(named, ["a.tar"], each=False) == [named]
    with pytest.raises(ReferenceSyntaxError, match="several sources"):
        output_names(named, ["a.tar", "b.tar"], each=False)


def test_no_sources_are_no_outputs():
    assert output_names(OutputName("oci", "out"), [], each=True) == []


@given(st.lists(st.text("ab./:-_ \n", min_size=1, max_size=8), max_size=6, unique=True))
def test_outputs_of_their_own_stay_in_the_folder_and_are_never_the_same(sources):
    for format_ in FORMATS:
        try:
            found = output_names(OutputName(format_, "/out"), sources, each=True)
        except ReferenceSyntaxError:
            continue
        paths = [name.path for name in found]
        assert len({*paths}) == len(sources)
        assert {os.path.dirname(os.path.normpath(path)) for path in paths} <= {"/out"}
