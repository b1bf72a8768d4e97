"""`ocifast verify`: what is printed, and what the exit code is."""

import json
import subprocess
import sys

import pytest
from support import images
from support.damage import flip
from support.images import Link, make_sample

SOUND = make_sample(1)
OTHER = make_sample(2, codec="zstd", names=("example.com/b:1",))


@pytest.fixture
def store(tmp_path):
    """A layout; names of blobs to damage are those of `images`."""
    images.write_folder(tmp_path / "store", images.layout_files(SOUND, OTHER))
    return tmp_path / "store"


def damage(store, blob):
    (store / images.blob_name(blob)).write_bytes(flip(blob))


def test_a_sound_store_is_ok(call, store):
    done = call("verify", "oci:store")
    assert done.code == 0
    (line,) = done.lines
    assert line.startswith("2 images, 4 layers, ")
    assert line.endswith(": OK")


def test_everything_wrong_has_a_line_and_the_exit_code_is_1(call, store):
    damage(store, SOUND.layers[0].blob)
    damage(store, OTHER.config)
    done = call("verify", "oci:store")
    assert done.code == 1
    assert done.lines[-1].endswith(": FAILED: 3 problems")
    config = images.blob_name(OTHER.config)
    assert any(line.startswith(f"{config}: digest is sha256:") for line in done.lines)
    assert all("expected sha256:" in line for line in done.lines if ": digest is" in line)
    assert sum("(in example.com/team/app:1)" in line for line in done.lines) == 2


def test_json_is_one_object(call, store):
    damage(store, SOUND.layers[0].blob)
    done = call("verify", "--json", "oci:store")
    (line,) = done.lines
    found = json.loads(line)
    assert (done.code, found["schema"], found["ok"]) == (1, "ocifast.verify/1", False)
    assert found["profile"] == "strict"
    assert [problem["code"] for problem in found["problems"]] == ["digest", "compression"]
    assert set(found["problems"][0]) == {
        *("code", "subject", "store", "message", "expected", "actual", "images")
    }
    assert [image["ok"] for image in found["images"]] == [False, True]
    assert set(found["images"][1]) == {
        *("names", "digest", "image_id", "platform", "layers", "size", "ok")
    }


def test_quiet_prints_only_what_is_wrong(call, store):
    (store / "README").write_text("hello")
    done = call("verify", "-q", "oci:store")
    assert (done.code, done.out, done.err) == (0, b"", "")
    damage(store, OTHER.manifest)
    done = call("verify", "-q", "oci:store")
    assert (done.code, len(done.lines), done.err) == (1, 1, "")


def test_files_nobody_needs_are_told_on_stderr(call, store):
    (store / "README").write_text("hello")
    done = call("verify", "oci:store")
    assert done.code == 0
    assert "ocifast: README: no image needs it" in done.complaints


def test_compat_tolerates_and_tells(call, store):
    (store / "blobs/sha256/garbage").write_text("hello")
    assert call("verify", "oci:store").code == 1
    done = call("verify", "--profile", "compat", "oci:store")
    assert done.code == 0
    assert any("garbage" in line and "(tolerated)" in line for line in done.complaints)


@pytest.mark.parametrize(
    ("ref", "code"),
    [
        ("oci:nowhere", 3),
        ("oci:store:nothing", 3),
        ("oci:store:", 2),
        ("notes", 4),
        ("dir:store", 4),
    ],
)
def test_what_cannot_be_opened_has_its_usual_exit_code(call, store, ref, code):
    (store.parent / "notes").write_text("hello, this is no archive" * 50)
    done = call("verify", ref)
    assert (done.code, done.out) == (code, b"")
    (line,) = done.complaints
    assert ref.removeprefix("oci:").removeprefix("dir:").partition(":")[0] in line
    error = json.loads(call("verify", "--json", ref).out)
    assert (error["path"], error["exit_code"]) == (ref, code)


def test_a_platform_and_workers_can_be_asked_for(call, store, no_progress):
    assert call("verify", "--workers", "0", "--platform", "linux/amd64", "oci:store").code == 0
    assert call("verify", "--platform", "linux/s390x", "oci:store").code == 3


@pytest.fixture
def no_progress(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")


@pytest.mark.parametrize("codec", ["plain", "gzip", "zstd"])
def test_an_archive_is_verified_through_a_pipe(ocifast, tmp_path, codec):
    path = images.write_tar(tmp_path / "a", images.docker_files(SOUND, variant="D"), codec=codec)
    command = [
        sys.executable,
        "-c",
        f"import sys; sys.stdout.buffer.write(open({path!r},'rb').read())",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        done = ocifast("verify", "-", stdin=writer.stdout)
    assert (done.code, done.lines[0].split(",")[0]) == (0, "1 image")
    files = images.docker_files(SOUND, variant="D")
    name = images.blob_name(SOUND.layers[0].blob)
    raw = images.squeeze(images.tar_of(files | {name: flip(files[name])}), codec)
    done = ocifast("verify", "-", input=raw)
    assert done.code == 1
    assert done.lines[0].startswith(f"{name}: digest is ")


def test_p20_a_symbolic_link_is_never_followed(call, store, tmp_path):
    name = images.blob_name(SOUND.layers[0].blob)
    (tmp_path / "elsewhere").write_bytes(SOUND.layers[0].blob)
    (store / name).unlink()
    images.write_folder(store, {name: Link(str(tmp_path / "elsewhere"))})
    done = call("verify", "oci:store")
    assert done.code == 1
    assert done.lines[0].startswith(f"{name}: it is a link")


def test_d06_a_hostile_name_cannot_steer_the_terminal(call, tmp_path):
    hostile = make_sample(3, names=("a\x1b]0;owned\x07\nOK",))
    images.write_folder(tmp_path / "store", images.layout_files(hostile))
    done = call("verify", "oci:store")
    assert done.code == 1
    assert b"\x1b" not in done.out
    assert "\x1b" not in done.err
    assert len(done.lines) == 2
