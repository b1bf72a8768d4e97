"""`ocifast bundle` as a person types it: output, exit codes, and sentences for what goes wrong."""

import json
import os

import pytest
from support.bundles import sample, write_image
from support.canary import IS_ROOT
from support.images import docker_files, write_tar

from ocifast.cli.bundle import container_name

ROOTLESS = () if IS_ROOT else ("--rootless",)


@pytest.fixture
def bundle(call, tmp_path):
    """Run `ocifast bundle` on a layout of this image, into `out`; it has to end with `code`."""

    def run(*words, image=None, code=0):
        ref = write_image(tmp_path, sample() if image is None else image)
        done = call("bundle", ref, "out", *ROOTLESS, *words)
        assert done.code == code, done.err
        return done

    return run


def test_a_person_is_told_what_was_made_and_how_to_start_it(bundle) -> None:
    done = bundle()
    assert done.out == b""
    *_, summary, start = done.complaints
    assert summary.startswith("ocifast: out: 3 entries, ")
    assert start == "ocifast: start it: runc run -b out out"


def test_json_is_one_object_and_holds_the_config(bundle, tmp_path) -> None:
    done = bundle("--json")
    (line,) = done.lines
    found = json.loads(line)
    assert found["schema"] == "ocifast.bundle/1"
    assert found["config"] == json.loads((tmp_path / "out/config.json").read_text())
    assert found["rootfs"]["layers"][0]["diff_id"].startswith("sha256:")
    assert "start it" not in done.err


def test_quiet_says_nothing(bundle) -> None:
    assert bundle("-q") == (0, b"", "")


def test_what_was_tolerated_is_said(bundle) -> None:
    done = bundle(image=sample({"Env": ["A"], "WorkingDir": "/srv"}))
    assert "ocifast: note: config: config.Env[0]: it has no '=', and is left out" in done.complaints
    assert "ocifast: note: config: config.WorkingDir: /srv was made" in done.complaints


def test_a_hostile_name_cannot_forge_a_line(bundle) -> None:
    done = bundle(image=sample({"Labels": {"run.oci.\n\x1b[2J": "x"}}))
    assert "\x1b" not in done.err
    assert all(line.startswith("ocifast: ") for line in done.complaints)


def test_words_behind_cmd_are_the_images_whatever_they_look_like(bundle) -> None:
    words = ("ls", "--force", "-q", "-x", "a=b", "")
    done = bundle("--json", "--cmd", *words, image=sample({"Entrypoint": ["/e"], "Cmd": ["/c"]}))
    assert json.loads(done.out)["config"]["process"]["args"] == ["/e", *words]


def test_cmd_without_words_leaves_the_entrypoint(bundle) -> None:
    done = bundle("--json", "--cmd", image=sample({"Entrypoint": ["/e"], "Cmd": ["/c"]}))
    assert json.loads(done.out)["config"]["process"]["args"] == ["/e"]


def test_another_user_may_run_it(bundle) -> None:
    done = bundle("--json", "--user", "0:0", image=sample({"User": "nobody"}))
    assert json.loads(done.out)["config"]["process"]["user"]["uid"] == 0


def test_an_archive_is_an_image_too(call, tmp_path) -> None:
    write_tar(tmp_path / "app.tar", docker_files(sample()))
    assert call("bundle", "app.tar", "out", *ROOTLESS, "-q").code == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["config.json", "rootfs"]


def test_an_archive_comes_by_standard_input(ocifast, tmp_path) -> None:
    archive = write_tar(tmp_path / "app.tar", docker_files(sample()))
    with open(archive, "rb") as file:
        done = ocifast("bundle", "-", "out", *ROOTLESS, "-q", stdin=file)
    assert (done.code, done.err) == (0, "")


def test_what_is_there_is_replaced_when_asked(bundle, tmp_path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("mine")
    done = bundle(code=6)
    assert done.complaints[-1] == "ocifast: out: it is not empty: --force replaces it"
    bundle("--force")
    assert sorted(os.listdir(tmp_path / "out")) == ["config.json", "rootfs"]


@pytest.mark.parametrize(
    ("image", "words", "code", "sentence"),
    [
        ({"User": "nobody"}, (), 4, "etc/passwd: it has no user 'nobody'"),
        ({"User": "9" * 5000}, (), 4, "ids are 0 to 2147483647"),
        ({"Cmd": None}, (), 4, "neither Entrypoint nor Cmd"),
        ({"WorkingDir": "/proc/self/fd/7"}, (), 4, "is in what the runtime mounts"),
        ({"Env": ["A"]}, ("--profile", "strict"), 4, "config.Env[0]: it has no '='"),
        ({}, ("--platform", "linux/none"), 3, "holds no image for linux/none"),
        ({}, ("--uid-map", "0:1:1"), 2, "give ranges of both"),
        ({}, ("--uid-map", "0:1"), 2, "no range such as"),
        ({}, ("--user", "a\udcff"), 2, "cannot be written down"),
        ({}, ("--devices", "some"), 2, "invalid choice"),
        ({}, ("--keep",), 2, "unrecognized"),
    ],
)
def test_what_goes_wrong_is_one_line_and_leaves_nothing(
    bundle, tmp_path, image, words, code, sentence
) -> None:
    done = bundle("-q", *words, image=sample(image), code=code)
    (line,) = done.complaints
    assert sentence in line
    assert len(line) < 300
    assert os.listdir(tmp_path) == ["layout"]


def test_an_error_is_an_object_when_objects_are_asked_for(bundle) -> None:
    done = bundle("--json", "-q", image=sample({"User": "nobody"}), code=4)
    found = json.loads(done.out)
    assert (found["schema"], found["error"], found["exit_code"]) == (
        "ocifast.error/1",
        "TreeError",
        4,
    )


def test_names_that_are_not_there_are_named(call, tmp_path) -> None:
    write_image(tmp_path, sample())
    assert call("bundle", "oci:layout:none", "out").code == 3
    assert call("bundle", "oci:none", "out").code == 3
    assert call("bundle", "oci:layout", "none/out", *ROOTLESS).code == 3
    assert call("bundle", "oci:layout", "").code == 2
    assert call("bundle", "oci:layout").code == 2


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/b/", "b"),
        ("my app", "my-app"),
        (".hidden", "hidden"),
        ("/", "container"),
        ("é", "container"),
    ],
)
def test_a_name_is_proposed_that_runtimes_take(path, name) -> None:
    assert container_name(path) == name
