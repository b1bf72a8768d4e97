"""`verify` looks at files nobody needs, at what is no file, and at archives of docker save."""

import os

import pytest
from support import images
from support.damage import codes, flip
from support.images import Link, make_sample
from support.layers import sha256

from ocifast.errors import StoreError, TarError
from ocifast.ops.verify import verify

SOUND = make_sample(1)
OTHER = make_sample(2, codec="zstd", names=("example.com/b:1",), platform=("linux", "arm64"))


def test_blobs_that_nothing_needs_are_listed_and_held_against_their_names(check):
    files = images.layout_files(SOUND) | {images.blob_name(b"one"): b"one", "README": b"hello"}
    found = check(files)
    assert found.ok
    assert found.unreachable == tuple(sorted(["README", images.blob_name(b"one")]))
    found = check(files | {images.blob_name(b"two"): b"three"})
    assert codes(found) == ["digest"]
    assert found.problems[0].images == ()


def test_garbage_among_the_blobs_is_a_problem(check):
    files = images.layout_files(SOUND) | {"blobs/sha256/garbage": b"x"}
    assert codes(check(files)) == ["name"]
    assert check(files, profile="compat").ok


def test_p20_a_blob_that_is_a_symbolic_link_is_a_problem(check, tmp_path):
    blob = SOUND.layers[0].blob
    (tmp_path / "elsewhere").write_bytes(blob)
    name = images.blob_name(blob)
    files = images.layout_files(SOUND, OTHER) | {name: Link(str(tmp_path / "elsewhere"))}
    found = check(files)
    assert [(problem.code, problem.subject) for problem in found.problems] == [("store", name)]
    assert found.layers == 3


def test_p20_an_index_that_is_a_symbolic_link_is_no_store(check, tmp_path):
    files = images.layout_files(SOUND)
    (tmp_path / "elsewhere").write_bytes(files["index.json"])
    with pytest.raises(StoreError):
        check(files | {"index.json": Link(str(tmp_path / "elsewhere"))})


def test_a_fifo_among_the_blobs_is_a_problem_and_nobody_waits(here, tmp_path):
    files = images.layout_files(SOUND)
    name = images.blob_name(SOUND.layers[0].blob)
    del files[name]
    path = images.write_folder(tmp_path / "store", files)
    os.mkfifo(tmp_path / "store" / name)
    assert codes(verify(f"oci:{path}", engine=here)) == ["store"]


def test_d04_two_documents_that_disagree_are_a_problem(check):
    files = images.docker_files(SOUND, OTHER, variant="D")
    files["index.json"] = images.index_json(images.root_entries(SOUND, containerd=True))
    found = check(files, "docker-archive")
    assert codes(found) == ["store"]
    assert "does not name" in found.problems[0].text


def test_d04_a_tag_that_only_one_of_the_documents_has_is_a_problem(check):
    files = images.docker_files(SOUND, variant="D")
    files["manifest.json"] = files["manifest.json"].replace(b"app:1", b"app:2")
    assert codes(check(files, "docker-archive")) == ["store"]


def test_a_name_that_claims_a_digest_is_held_to_it(check):
    files = images.docker_files(SOUND, variant="F")
    config = sha256(SOUND.config)
    found = check(files | {config: flip(files[config])}, "docker-archive")
    assert codes(found) == ["digest"]
    one = f"{images.hexadecimal(SOUND.layers[0].blob)}.tar.gz"
    files |= {"manifest.json": files["manifest.json"].replace(one.encode(), b"0" * 64 + b".tar")}
    files["0" * 64 + ".tar"] = files.pop(one)
    assert codes(check(files, "docker-archive")) == ["name"]
    assert check(files, "docker-archive", profile="compat").ok


def test_one_image_of_an_archive_that_is_broken_leaves_the_others_to_be_verified(check):
    files = images.docker_files(SOUND, OTHER, variant="B")
    config = images.hexadecimal(SOUND.config) + ".json"
    files[config] = flip(files[config])
    name = next(name for name in files if name.endswith("/layer.tar"))
    found = check(files, "docker-archive")
    assert (codes(found), len(found.images)) == (["digest"], 1)
    files = images.docker_files(SOUND, OTHER, variant="B")
    found = check(files | {name: flip(files[name])}, "any.gz")
    assert codes(found) == ["tar", "diff_id"] or codes(found) == ["diff_id"]
    assert [image.ok for image in found.images] == [False, True]


def test_d03_a_blob_that_stands_twice_is_refused_or_the_last_one_counts(here, tmp_path):
    members = list(images.layout_files(SOUND).items())
    members.append((images.blob_name(SOUND.layers[0].blob), b"other"))
    ref = "oci-archive:" + images.write_tar(tmp_path / "twice.tar", members)
    with pytest.raises(TarError):
        verify(ref, engine=here)
    found = verify(ref, engine=here, profile="compat")
    assert {"digest", "size"} <= set(codes(found))
    assert "twice" in found.findings[0].text
