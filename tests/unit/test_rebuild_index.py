"""Indexes of converted images: what they name, and what speaks of it, has moved with it."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.documents import digest_of
from support.images import (
    CONFIG,
    INDEX,
    MANIFEST,
    compact,
    descriptor,
    layout_files,
    make_sample,
    write_folder,
)
from support.rebuilding import (
    KEEP,
    Results,
    as_docker,
    with_layer,
)

from ocifast.errors import StoreError
from ocifast.ops.image import open_store
from ocifast.ops.rebuild import rebuild
from ocifast.spec.descriptor import Descriptor
from ocifast.spec.index import Index
from ocifast.spec.manifest import Manifest
from ocifast.transports.base import ImageIndex, Opaque

PLATFORMS = [make_sample(n, platform=("linux", a)) for n, a in enumerate(["amd64", "arm64"])]
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
REFERENCE = "vnd.docker.reference.digest"
TYPE = "vnd.docker.reference.type"


@pytest.fixture
def index(tmp_path):
    """Two platforms, in a layout."""
    folder = write_folder(tmp_path / "index", layout_files(*PLATFORMS, index=True))
    (found,) = open_store(f"oci:{folder}")
    assert isinstance(found, ImageIndex)
    return found


def with_children(index, *more, **changes):
    """The index with further children, each with a descriptor."""
    children = (*index.children, *more)
    value = json.loads(index.index.raw)
    value["manifests"] = [child.descriptor.to_json() for child in children]
    raw = compact({**value, **changes})
    parsed = Index.parse(raw, document="i")
    return replace(index, index=parsed, children=children, descriptor=parsed.descriptor)


def attestation(of, *, subject=False):
    """What BuildKit says about an image, as an image that cannot be run."""
    changes = {"subject": of.descriptor.to_json()} if subject else {}
    value = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(b"{}", CONFIG),
        "layers": [descriptor(b"statement", "application/vnd.in-toto+json")],
        **changes,
    }
    manifest = Manifest.parse(compact(value), document="a")
    annotations = {REFERENCE: str(of.descriptor.digest), TYPE: "attestation-manifest"}
    layer = replace(of.layers[0], descriptor=manifest.layers[0], diff_id=None, name="statement")
    return replace(
        of,
        manifest=manifest,
        config=None,
        config_raw=b"{}",
        config_descriptor=manifest.config,
        layers=(layer,),
        descriptor=replace(manifest.descriptor, annotations=annotations),
    )


def test_an_index_whose_images_stay_is_kept_byte_for_byte(index):
    rebuilt = rebuild(index, KEEP)
    assert rebuilt.top == index.descriptor
    assert rebuilt.documents[-1] == index.index.raw
    assert [x.manifest.digest for x in rebuilt.images] == [
        c.descriptor.digest for c in index.children
    ]


def test_an_index_names_what_its_images_have_become_with_their_platforms(index):
    index = with_children(index, future=[1], annotations={"a": "b"})
    rebuilt = rebuild(index, Results("zstd"))
    new = Index.parse(rebuilt.documents[-1], document="new")
    assert [x.digest for x in new.manifests] == [x.manifest.digest for x in rebuilt.images]
    assert [x.platform for x in new.manifests] == [c.descriptor.platform for c in index.children]
    assert (dict(new.annotations), dict(new.extra)) == ({"a": "b"}, {"future": [1]})
    known = set()
    for raw in rebuilt.documents:  # children before those that name them
        for child in json.loads(raw).get("manifests", []):
            assert child["digest"] in known
        known.add(digest_of(raw))
    assert {x.digest for x in rebuilt.blobs()} >= known


def test_a_list_of_docker_becomes_an_index(index):
    value = json.loads(index.index.raw) | {"mediaType": DOCKER_LIST}
    parsed = Index.parse(compact(value), document="i")
    rebuilt = rebuild(replace(index, index=parsed), KEEP)
    assert json.loads(rebuilt.documents[-1])["mediaType"] == INDEX


@pytest.mark.parametrize("subject", [False, True])
@pytest.mark.parametrize("before", [False, True])
def test_an_attestation_speaks_of_what_its_image_has_become(subject, before, index):
    of = index.children[1]
    index = with_children(index, attestation(of, subject=subject))
    if before:
        index = replace(index, children=index.children[::-1])
    rebuilt = rebuild(index, Results("zstd"))
    new = Index.parse(rebuilt.documents[-1], document="new")
    by_old = dict(zip([c.descriptor.digest for c in index.children], new.manifests, strict=True))
    moved = by_old[of.descriptor.digest]
    assert moved.digest != of.descriptor.digest
    (statement,) = [x for x in new.manifests if REFERENCE in x.annotations]
    assert statement.annotations[REFERENCE] == moved.digest
    assert statement.annotations[TYPE] == "attestation-manifest"
    (manifest,) = [x.manifest for x in rebuilt.images if x.diff_ids is None]
    assert manifest.digest == statement.digest
    if subject:
        assert (manifest.subject.digest, manifest.subject.size) == (moved.digest, moved.size)
    else:
        assert manifest.raw == index.children[0 if before else 2].manifest.raw


def test_an_attestation_of_an_image_that_stays_stays(index):
    index = with_children(index, attestation(index.children[0], subject=True))
    assert rebuild(index, KEEP).documents[-1] == index.index.raw


def test_images_that_are_not_there_are_left_out_and_reported(index):
    gone = Opaque("in", (), descriptor_of(b"gone"), None)
    rebuilt = rebuild(with_children(index, gone), KEEP)
    assert rebuilt.findings == ["1 of the images the index names are not there, left out"]
    new = Index.parse(rebuilt.documents[-1], document="new")
    assert [x.digest for x in new.manifests] == [c.descriptor.digest for c in index.children]


def test_an_index_of_nothing_that_is_there_is_refused(index):
    gone = Opaque("in", (), descriptor_of(b"gone"), None)
    with pytest.raises(StoreError, match="none of the images"):
        rebuild(replace(index, children=(gone, gone)), KEEP)


def descriptor_of(content, media_type=MANIFEST):
    return Descriptor(media_type, digest_of(content), len(content))


def test_what_an_index_names_and_nobody_understands_is_kept_as_it_is(index):
    location = index.children[0].layers[0].location
    strange = Opaque("in", (), descriptor_of(b"x", "application/x"), location)
    index = with_children(index, strange)
    rebuilt = rebuild(index, Results("zstd"))
    assert rebuilt.opaque == [strange]
    new = Index.parse(rebuilt.documents[-1], document="new")
    assert new.manifests[-1] == strange.descriptor
    assert strange.descriptor.digest in {x.digest for x in rebuilt.blobs()}


def test_indexes_within_indexes_are_followed(index):
    outer = with_children(replace(index, children=(index,)))
    rebuilt = rebuild(outer, Results("zstd"))
    inner, top = (Index.parse(raw, document="x") for raw in rebuilt.documents[-2:])
    assert top.manifests[0].digest == inner.digest
    assert rebuilt.top.digest == top.digest


# ---- again ----


TEXTS = st.text('ab./-ä"\\<& ', max_size=9)


@settings(max_examples=30)
@given(
    codec=st.sampled_from(["gzip", "zstd", "identity"]),
    docker=st.booleans(),
    subject=st.booleans(),
    annotations=st.dictionaries(TEXTS, TEXTS, max_size=3),
)
def test_what_was_rebuilt_stays_when_it_is_rebuilt_again(
    codec, docker, subject, annotations, tmp_path_factory
):
    folder = write_folder(tmp_path_factory.mktemp("in"), layout_files(*PLATFORMS, index=True))
    (index,) = open_store(f"oci:{folder}")
    first = with_layer(index.children[0], annotations=annotations)
    first = as_docker(first) if docker else first
    index = replace(index, children=(first, index.children[1]))
    index = with_children(index, attestation(first, subject=subject))
    once = rebuild(index, Results(codec))
    assert once.documents == rebuild(index, Results(codec)).documents
    again = rebuild(reread(index, once), KEEP)
    assert again.documents[-1] == once.documents[-1]
    assert again.top.digest == once.top.digest
    assert {*again.documents} == {*once.documents}


def reread(index, rebuilt):
    """The index as it would be found in the output."""
    by_digest = {image.manifest.digest: image for image in rebuilt.images}
    new = rebuilt.indexes[-1]
    children = []
    for child, entry in zip(index.children, new.manifests, strict=True):
        made = by_digest[entry.digest]
        layers = tuple(
            replace(layer, descriptor=other)
            for layer, other in zip(child.layers, made.manifest.layers, strict=True)
        )
        children.append(
            replace(
                child,
                manifest=made.manifest,
                config_raw=made.config_raw,
                config_descriptor=made.manifest.config,
                layers=layers,
                descriptor=entry,
            )
        )
    return replace(index, index=new, children=tuple(children), descriptor=new.descriptor)
