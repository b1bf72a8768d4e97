"""`ocifast squash`, `flatten` and `rechunk`: arguments, what is printed, exit codes."""

import json

import pytest
from support.converting import sound, write_source
from support.images import docker_files, make_sample, tar_of

APP = make_sample(1, count=3)
DEST = "oci:out:app"


@pytest.fixture
def source(tmp_path):
    return write_source(tmp_path / "in", "oci", APP)


@pytest.mark.parametrize(
    ("words", "layers"),
    [
        (["squash"], [True]),
        (["squash", "--all"], [True]),
        (["squash", "--from", "1"], [False, True]),
        (["squash", "--last", "1"], [False, False, True]),
        (["flatten"], [True]),
        (["rechunk", "--layers", "1"], [True]),
        (["rechunk", "--max-size", "1GB"], [True, True]),
    ],
    ids=lambda value: " ".join(map(str, value)),
)
def test_the_report_is_json_on_stdout_and_nothing_else(
    ocifast, source, tmp_path, words, layers
) -> None:
    done = ocifast(*words, source, "-o", DEST, "--json")
    report = json.loads(done.out)
    assert done.code == 0
    assert all(line.startswith("ocifast: ") for line in done.complaints)
    assert report["schema"] == f"ocifast.{words[0]}/1"
    assert report["destination"] == DEST
    assert [layer["is_new"] for layer in report["layers"]] == layers
    assert report["layers_before"] == 3
    assert sound(f"oci:{tmp_path}/out:app")


def test_a_person_is_told_what_was_made(ocifast, source) -> None:
    done = ocifast("squash", source, "-o", DEST, "--last", "2")
    image, digest, layers, size, first, second = done.lines
    assert image == f"image    {DEST}"
    assert digest.startswith("digest   sha256:")
    assert layers == "layers   2 of 3, 1 kept as they were"
    assert size.startswith("size     ")
    assert first.split()[:2] == ["0", "kept"]
    assert second.split()[:2] == ["1", "new"]
    assert done.code == 0


def test_quiet_says_nothing(ocifast, source) -> None:
    done = ocifast("flatten", source, "-o", DEST, "-q")
    assert (done.code, done.out, done.err) == (0, b"", "")


def test_an_archive_comes_by_standard_input(ocifast, tmp_path) -> None:
    done = ocifast("flatten", "-", "-o", DEST, "-q", input=tar_of(docker_files(APP)))
    assert (done.code, done.err) == (0, "")
    assert sound(f"oci:{tmp_path}/out:app")


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["squash", "--last", "4"], 2, "there are no 4 layers to merge, but 3"),
        (["squash", "--from", "3"], 2, "there is no layer 3: they are 0 to 2"),
        (["squash", "--from", "x"], 2, "invalid int value"),
        (["squash", "--from", "1", "--last", "1"], 2, "not allowed with"),
        (["rechunk"], 2, "required"),
        (["rechunk", "--layers", "0"], 2, "at least 1"),
        (["flatten", "--level", "99"], 2, "level"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_arguments_that_make_no_sense(ocifast, source, words, code, complaint) -> None:
    done = ocifast(*words, source, "-o", DEST)
    assert done.code == code
    assert complaint in done.err
    assert len(done.complaints) == 1


def test_an_image_that_is_not_there(ocifast) -> None:
    done = ocifast("flatten", "oci:nowhere", "-o", DEST)
    assert done.code == 3
    assert len(done.complaints) == 1
