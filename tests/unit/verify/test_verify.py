"""`verify` of whole stores: nothing is wrong where all is well, and what is asked for is read."""

import hashlib
import json
import subprocess
from dataclasses import replace

import pytest
from support import images
from support.damage import break_blob, codes, flip
from support.images import make_sample

from ocifast.engine import Engine
from ocifast.errors import ImageNotFound
from ocifast.ops.progress import ImageFinished, LayerFinished, Planned
from ocifast.ops.verify import verify

SOUND = make_sample(1)
OTHER = make_sample(2, codec="zstd", names=("example.com/b:1",), platform=("linux", "arm64"))


@pytest.mark.parametrize("form", ["oci", "oci-archive", "any", "any.gz"])
@pytest.mark.parametrize("index", [False, True])
def test_a_sound_layout_verifies(check, form, index):
    found = check(images.layout_files(SOUND, OTHER, index=index), form)
    assert (found.ok, found.findings, found.unreachable) == (True, (), ())
    assert [image.ok for image in found.images] == [True, True]
    assert (found.layers, found.blobs) == (4, 9 if index else 8)
    blobs = images.blobs_of(SOUND) | images.blobs_of(OTHER)
    assert found.bytes - sum(map(len, blobs.values())) == 0 or index


@pytest.mark.parametrize("variant", images.DOCKER_VARIANTS)
@pytest.mark.parametrize("form", ["docker-archive", "folder", "any.gz"])
def test_every_form_of_docker_save_verifies(check, variant, form):
    found = check(images.docker_files(SOUND, OTHER, variant=variant), form)
    assert (found.ok, found.findings, found.layers) == (True, (), 4)


def test_a_dir_verifies(check):
    found = check(images.directory_files(SOUND), "dir")
    assert (found.ok, found.blobs, found.layers) == (True, 4, 2)


def test_what_came_out_is_the_same_for_workers_and_without(check, here, tmp_path, no_job_is_small):
    files = images.layout_files(SOUND, OTHER)
    files = break_blob(files, SOUND.layers[0].blob, flip)
    files = break_blob(files, OTHER.layers[1].blob, lambda data: data[:-9])
    alone = check(files)
    with Engine(workers=2) as engine:
        together = verify(f"oci:{tmp_path}/store", engine=engine)
    assert set(together.problems) == set(alone.problems)
    assert together.images == alone.images


def test_a_layer_that_images_share_is_read_once(check):
    again = replace(SOUND, names=("example.com/again:1",), runtime={"Cmd": ["other"]})
    told = []
    found = check(images.layout_files(SOUND, again), progress=told.append)
    assert (len(found.images), found.layers) == (2, 2)
    (plan,) = (event for event in told if isinstance(event, Planned))
    assert (plan.images, plan.layers, plan.shared_layers) == (2, 2, 2)
    assert sum(isinstance(event, LayerFinished) for event in told) == 2
    assert [event.error for event in told if isinstance(event, ImageFinished)] == [None, None]


def test_a_named_image_is_verified_alone(check):
    files = break_blob(images.layout_files(SOUND, OTHER), OTHER.layers[0].blob, flip)
    assert check(files, reader=":example.com/team/app:1").ok
    assert codes(check(files, reader=":example.com/b:1"))[0] == "digest"
    with pytest.raises(ImageNotFound):
        check(files, reader=":nothing")


def test_a_platform_of_an_index_is_verified_alone(check):
    files = break_blob(images.layout_files(SOUND, OTHER, index=True), OTHER.layers[0].blob, flip)
    assert check(files, platform="linux/amd64").ok
    assert not check(files, platform="linux/arm64").ok
    assert not check(files).ok


def test_a_platform_leaves_out_images_that_are_for_another(check):
    found = check(images.layout_files(SOUND, OTHER), platform="linux/arm64")
    assert [image.names for image in found.images] == [OTHER.names]
    with pytest.raises(ImageNotFound):
        check(images.layout_files(SOUND, OTHER), platform="linux/s390x")


def test_a_problem_names_every_image_that_needs_the_file(check):
    again = replace(SOUND, names=("example.com/again:1",), runtime={"Cmd": ["other"]})
    files = break_blob(images.layout_files(SOUND, again), SOUND.layers[0].blob, flip)
    found = check(files)
    assert codes(found) == ["digest", "compression"]
    assert {problem.images for problem in found.problems} == {(*SOUND.names, *again.names)}


def test_a_sha512_digest_is_verified(check):
    sample = make_sample(3, count=1)
    blob = sample.layers[0].blob
    named = "sha512:" + hashlib.sha512(blob).hexdigest()
    manifest = json.loads(sample.manifest)
    manifest["layers"][0]["digest"] = named
    raw = images.compact(manifest)
    files = images.layout_files(sample)
    del files[images.blob_name(blob)]
    del files[images.blob_name(sample.manifest)]
    files[images.blob_name(raw)] = raw
    files["index.json"] = images.index_json([images.descriptor(raw, images.MANIFEST)])
    name = "blobs/sha512/" + named[7:]
    assert check(files | {name: blob}).ok
    assert codes(check(files | {name: flip(blob, 9)})) == ["digest"]


def test_what_skopeo_writes_verifies(oracle, here, tmp_path):
    skopeo = oracle("skopeo")
    source = images.write_folder(tmp_path / "in", images.layout_files(make_sample(names=("a",))))
    for number, target in enumerate(
        ("oci:{}:a", "oci-archive:{}:a", "docker-archive:{}:a:1", "dir:{}")
    ):
        place = target.format(tmp_path / f"out{number}")
        command = [skopeo, "--insecure-policy", "copy", "-q", f"oci:{source}:a", place]
        subprocess.run(command, check=True)
        found = verify(place, engine=here)
        assert (found.problems, found.findings, found.layers) == ((), (), 2)


def test_what_umoci_writes_verifies(oracle, here, tmp_path):
    umoci = oracle("umoci")
    layout = tmp_path / "layout"
    subprocess.run([umoci, "init", "--layout", layout], check=True)
    subprocess.run([umoci, "new", "--image", f"{layout}:a"], check=True)
    (tmp_path / "file").write_text("hello")
    command = [umoci, "insert", "--rootless", "--image", f"{layout}:a", tmp_path / "file", "/file"]
    subprocess.run(command, check=True)
    # umoci of Debian ends its layers without zero blocks, which strict refuses (H14); nothing else
    found = verify(f"oci:{layout}:a", engine=here, profile="compat")
    assert (found.problems, found.layers) == ((), 1)
    assert set(codes(verify(f"oci:{layout}:a", engine=here))) <= {"tar"}
