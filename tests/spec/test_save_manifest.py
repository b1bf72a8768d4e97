"""`manifest.json` and `repositories` of docker save, as several tools write them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.documents import descriptor, digest_of, raw_descriptor, to_bytes

from ocifast.errors import DocumentError
from ocifast.spec.save_manifest import (
    SavedImage,
    build_repositories,
    build_save_manifest,
    parse_repositories,
    parse_save_manifest,
)

IMAGE = {"Config": "c.json", "RepoTags": ["x:1"], "Layers": ["a/layer.tar"]}


def parse(**changes: object) -> SavedImage:
    (found,) = parse_save_manifest(to_bytes([{**IMAGE, **changes}]))
    return found


def refused(value: object) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        parse_save_manifest(to_bytes(value))
    assert caught.value.document == "manifest.json"
    return caught.value


def test_canonical_bytes() -> None:
    image = SavedImage(
        "c.json",
        ("a.tar", "b.tar"),
        ("x:1",),
        parent="sha256:p",
        layer_sources={digest_of("base"): descriptor("base")},
        extra={"X": 1},
    )
    source = json.dumps(raw_descriptor("base"), separators=(",", ":"))
    assert build_save_manifest([image, SavedImage("d.json", ())]).decode() == (
        '[{"Config":"c.json","RepoTags":["x:1"],"Layers":["a.tar","b.tar"],"Parent":"sha256:p",'
        f'"LayerSources":{{"{digest_of("base")}":{source}}},"X":1}},'
        '{"Config":"d.json","RepoTags":null,"Layers":[]}]'
    )


@pytest.mark.parametrize("tags", [None, []])
def test_an_image_may_have_no_names(tags: object) -> None:
    assert parse(RepoTags=tags).repo_tags == ()


def test_d04_null_is_no_manifest_and_no_images_are_fine() -> None:
    assert "must be an array" in refused(None).reason
    assert parse_save_manifest(b"[]") == ()


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({}, ""),
        ([None], "[0]"),
        ([IMAGE, {}], "[1].Config"),
        ([{**IMAGE, "Config": ""}], "[0].Config"),
        ([{**IMAGE, "Layers": "a"}], "[0].Layers"),
        ([{**IMAGE, "Layers": [""]}], "[0].Layers"),
        ([{**IMAGE, "Layers": ["a"] * 1025}], "[0].Layers"),
        ([{**IMAGE, "RepoTags": "x:1"}], "[0].RepoTags"),
        ([{**IMAGE, "LayerSources": {"a": {}}}], "[0].LayerSources.a.mediaType"),
        ([{**IMAGE, "layers": []}], "[0]"),
    ],
)
def test_an_error_says_where_it_is(value: object, where: str) -> None:
    assert refused(value).where == where


@pytest.mark.parametrize(
    "tag",
    [
        *("x:1 ", "x y:1", "x:\x1b[31m", "x:1\n", "x\t:1", "x:é", "\u202ex:1", "x:\x7f"),
        *("x", "", ":1", "X:1", "<none>:<none>", "../x:1", "http://x/y:1", "x@" + digest_of("")),
    ],
    ids=ascii,
)
def test_d06_a_name_that_is_none_is_refused(tag: str) -> None:
    assert refused([{**IMAGE, "RepoTags": ["y:1", tag]}]).where == "[0].RepoTags"


@pytest.mark.parametrize("tag", ["busybox:latest", "docker.io/library/busybox:1", "h:5000/a/b:c"])
def test_d06_names_of_any_registry_are_kept_as_written(tag: str) -> None:
    assert parse(RepoTags=[tag]).repo_tags == (tag,)


def test_d01_names_of_files_are_kept_as_written_for_the_archive_to_look_up() -> None:
    found = parse(Config="../../etc/passwd", Layers=["/abs", "blobs/sha256/x"])
    assert (found.config, found.layers) == ("../../etc/passwd", ("/abs", "blobs/sha256/x"))


def test_j12_unknown_fields_are_kept() -> None:
    assert parse(X=1).extra == {"X": 1}
    assert parse(X=1).to_json() == {**IMAGE, "X": 1}


def test_repositories_are_read_and_written_sorted() -> None:
    value = {"y": {"b": "b" * 64, "a": "sha256:" + "a" * 64}, "docker.io/library/x": {}}
    found = parse_repositories(to_bytes(value))
    assert found == value
    assert build_repositories(found).decode() == (
        f'{{"docker.io/library/x":{{}},"y":{{"a":"sha256:{"a" * 64}","b":"{"b" * 64}"}}}}'
    )


@pytest.mark.parametrize(
    "value",
    [None, [], {"x": "y"}, {"x": {"t": "../x"}}, {"x": {"t": "a" * 63}}, {"x": {"t": None}}],
)
def test_repositories_that_are_none_are_refused(value: Any) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_repositories(to_bytes(value))
    assert caught.value.document == "repositories"


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@given(
    st.lists(
        st.builds(
            SavedImage,
            config=NAMES,
            layers=st.lists(NAMES, max_size=3).map(tuple),
            repo_tags=st.lists(st.sampled_from(["x:1", "y/z:v"]), max_size=2).map(tuple),
            parent=NAMES | st.just(""),
            layer_sources=st.dictionaries(NAMES, st.builds(descriptor, NAMES), max_size=2),
        )
    ).map(tuple)
)
def test_what_is_written_is_read_back(images: tuple[SavedImage, ...]) -> None:
    assert parse_save_manifest(build_save_manifest(images)) == images
