"""`ocifast convert`: sources and options as they are typed, what is printed, and how it ends."""

import json
import os

import jsonschema
import pytest
from support.converting import sound, spoil, truth, truths
from support.images import (
    Sample,
    docker_files,
    layout_files,
    make_sample,
    tar_of,
    write_folder,
    write_tar,
)

from ocifast.ops.output_names import FORMATS

APP = make_sample(1, names=("debian:12",))
TOOL = make_sample(2, names=("busybox:latest",))
ARM = make_sample(3, names=("arm:1",), platform=("linux", "arm64"))
SHARING = Sample((APP.layers[0], *TOOL.layers), ("sharing:1",))

DIGEST = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}
MAYBE_DIGEST = {"anyOf": [DIGEST, {"type": "null"}]}
TEXT, SIZE, TIME = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "number"}
TEXTS = {"type": "array", "items": TEXT}


def an_object(**properties: object) -> dict:
    """Exactly these keys, in this order."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


LAYER = an_object(
    diff_id=DIGEST,
    source_digest=MAYBE_DIGEST,
    source_size=SIZE,
    uncompressed_size=SIZE,
    media_type=TEXT,
    digest=DIGEST,
    size=SIZE,
    recipe={"type": ["string", "null"]},
    how={
        "enum": [
            *("compressed", "copied", "reflinked", "hardlinked", "present", "shared", "resumed"),
        ]
    },
    seconds=TIME,
    findings=TEXTS,
    source_diff_id=MAYBE_DIGEST,
    annotations={"type": "object", "additionalProperties": TEXT},
)
IMAGE = an_object(
    source=TEXT,
    names=TEXTS,
    platform={"type": ["string", "null"]},
    destination=TEXT,
    digest=MAYBE_DIGEST,
    image_id=MAYBE_DIGEST,
    layers={"type": "array", "items": LAYER},
    seconds=TIME,
    error={"type": ["string", "null"]},
    error_type={"type": ["string", "null"]},
    exit_code={"enum": [0, 1, 2, 3, 4, 6]},
    findings=TEXTS,
    size_before=SIZE,
    size_after=SIZE,
    ratio={"type": ["number", "null"]},
    shared_layers=SIZE,
)
REPORT = an_object(
    schema={"const": "ocifast.convert/1"},
    ok={"type": "boolean"},
    images={"type": "array", "items": IMAGE},
    failed=SIZE,
    seconds=TIME,
    workers=SIZE,
    recipe=TEXT,
    bytes_read=SIZE,
    bytes_written=SIZE,
    layers_distinct=SIZE,
    layers_shared=SIZE,
    size_before=SIZE,
    size_after=SIZE,
    ratio={"type": ["number", "null"]},
)


def report_of(line: str | bytes) -> dict:
    value = json.loads(line)
    jsonschema.validate(value, REPORT)
    return value


@pytest.fixture
def convert(call):
    """The verb, without workers."""
    return lambda *arguments: call("convert", "--workers", "0", *arguments)


@pytest.fixture
def saved(tmp_path) -> None:
    """A folder of archives of several kinds, and one that is broken."""
    folder = tmp_path / "saved"
    (folder / "more").mkdir(parents=True)
    write_tar(folder / "app.tar", docker_files(APP))
    write_tar(folder / "tool.tar.gz", docker_files(TOOL), codec="gzip")
    write_folder(folder / "more/layout", layout_files(SHARING))
    spoil(write_tar(folder / "z-broken.tar", docker_files(ARM)), ARM.layers[1])
    (folder / "readme.txt").write_text("not an archive")


# ---- how it is typed ----


@pytest.mark.parametrize("to", FORMATS)
def test_the_format_is_an_option_or_stands_before_the_path(convert, tmp_path, to: str) -> None:
    write_tar(tmp_path / "app.tar", docker_files(APP))
    assert convert("app.tar", "-o", "one", "--to", to).code == 0
    assert convert("app.tar", "-o", f"{to}:two").code == 0
    assert truths(f"{to}:one") == truths(f"{to}:two") == truth(APP, names=to != "dir")


def test_options_reach_the_work(convert, tmp_path) -> None:
    write_folder(tmp_path / "index", layout_files(APP, ARM, index=True))
    done = convert("index", "-o", "oci:a", "--compress", "zstd", "--level", "7", "--json")
    assert "level=7" in report_of(done.out)["recipe"]
    done = convert("index", "-o", "oci:b", "--recipe", "zstd-long", "--json")
    assert report_of(done.out)["recipe"].startswith("zstd-long/")
    done = convert("index", "-o", "oci:c", "--force", "--json")
    layers = report_of(done.out)["images"][0]["layers"]
    assert {layer["how"] for layer in layers} == {"compressed"}
    assert convert("index", "-o", "oci:d", "--platform", "linux/arm64").code == 0
    assert set(truths("oci:d")) == {ARM.image_id}
    assert convert("index", "-o", "docker-archive:e", "--all").code == 4
    assert convert("index", "-o", "oci:f", "--all").code == 0
    assert set(truths("oci:f")) == {APP.image_id, ARM.image_id}


def test_sources_are_globs_folders_lists_and_paths(convert, tmp_path, saved) -> None:
    good = ["saved/app.tar", "saved/tool.tar.gz", "saved/more/layout"]
    (tmp_path / "lines").write_text("\n".join(good) + "\n")
    (tmp_path / "nuls").write_bytes(b"\0".join(map(os.fsencode, good)))
    typed = [
        good,
        ["saved/[at]*.tar*", "saved/more"],
        ["--files-from", "lines"],
        ["--files-from", "nuls", "-0"],
        ["saved/app.tar", "--files-from", "lines"],
    ]
    for number, arguments in enumerate(typed):
        done = convert(*arguments, "-o", f"oci:out{number}")
        assert done.code == 0, done.err
        assert truths(f"oci:out{number}") == truth(APP, TOOL, SHARING)


def test_a_list_and_an_archive_come_on_standard_input(ocifast, tmp_path, saved) -> None:
    arguments = ("convert", "--workers", "0", "-o", "oci:out")
    names = b"saved/app.tar\0saved/tool.tar.gz\0"
    assert ocifast(*arguments, "--files-from", "-", "-0", input=names).code == 0
    assert ocifast(*arguments, "-", input=tar_of(docker_files(SHARING))).code == 0
    assert truths(f"oci:{tmp_path}/out") == truth(APP, TOOL, SHARING)
    done = ocifast(*arguments, "-", "--files-from", "-", input=b"")
    assert (done.code, done.out) == (2, b"")
    assert "only once" in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "oci:out"], "name at least one SRC"),
        (["app.tar"], "-o/--output"),
        (["app.tar", "-o", "out"], "oci:out, or --to oci"),
        (["app.tar", "-o", "dir:out", "--to", "oci"], "it says dir"),
        (["app.tar", "-o", "oci:-"], "path on disk"),
        (["app.tar", "-o", "oci:out", "--compress", "xz"], "invalid choice"),
        (["app.tar", "-o", "oci:out", "--level", "99"], "1 to 12"),
        (["app.tar", "-o", "oci:out", "--recipe", "best"], "gzip-libdeflate"),
        (["app.tar", "-o", "oci:out", "--compress", "keep", "--level", "3"], "kept"),
        (["app.tar", "-o", "oci:out", "--platform", "a", "--all"], "not allowed with"),
        (["app.tar", "docker://app", "-o", "oci:out"], "docker://app"),
        (["app.tar", "in/app.tar", "-o", "oci:out", "--each"], "as app.tar"),
        (["app.tar", "in/app.tar", "-o", "oci:out:one"], "one name"),
        (["app.tar", "-o", "oci:out", "--report", "no/where"], "no/where"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_misuse_is_told_in_one_line_and_nothing_is_made(
    convert, tmp_path, arguments, words: str
) -> None:
    (tmp_path / "in").mkdir()
    for path in ("app.tar", "in/app.tar"):
        write_tar(tmp_path / path, docker_files(APP))
    done = convert(*arguments)
    assert done.code == (3 if "--report" in arguments else 2)
    assert done.out == b""
    (line,) = done.complaints
    assert words in line
    assert sorted(os.listdir(tmp_path)) == ["app.tar", "in"]


@pytest.mark.parametrize(
    "source", ["missing.tar", "oci:missing", "missing/*.tar", "docker-archive:missing.tar:x"]
)
def test_a_source_that_is_not_there_is_told_in_one_line(convert, tmp_path, source: str) -> None:
    write_tar(tmp_path / "app.tar", docker_files(APP))
    done = convert("app.tar", source, "-o", "oci:out")
    assert (done.code, done.out) == (3, b"")
    (line,) = done.complaints
    assert line.startswith("ocifast: missing")
    assert os.listdir(tmp_path) == ["app.tar"]


# ---- what is printed ----


def test_the_table_is_all_that_is_on_stdout(convert, tmp_path, saved) -> None:
    done = convert("saved/app.tar", "saved/more", "-o", "oci:out")
    assert done.lines[0].split() == [
        *("image", "before", "after", "ratio", "layers", "shared", "time"),
    ]
    assert [line.split()[0] for line in done.lines[1:4]] == ["debian:12", "sharing:1", "all,"]
    assert done.complaints[0].startswith("ocifast: converting 2 images: 4 layers")
    assert len(done.complaints) == 3


def test_quiet_says_nothing_and_json_nothing_else(convert, tmp_path, saved) -> None:
    done = convert("saved/app.tar", "-o", "oci:a", "-q")
    assert (done.code, done.out, done.err) == (0, b"", "")
    done = convert("saved/app.tar", "-o", "oci:b", "-q", "--json")
    assert done.err == ""
    (line,) = done.lines
    value = report_of(line)
    (image,) = value["images"]
    assert image["names"] == ["debian:12"]
    assert image["destination"] == "oci:b:debian:12"
    assert image["image_id"] == APP.image_id
    assert value["bytes_read"] == image["size_before"]
    assert value["bytes_written"] == image["size_after"]


def test_the_report_is_written_as_json_or_as_a_page(convert, tmp_path, saved) -> None:
    done = convert("saved", "-o", "oci:out", "-k", "--report", "r.json", "--json")
    assert done.code == 1
    value = report_of((tmp_path / "r.json").read_bytes())
    assert value == report_of(done.out)
    assert (value["ok"], value["failed"], value["layers_shared"]) == (False, 1, 3)
    convert("saved", "-o", "oci:out2", "-k", "--report", "r.html")
    page = (tmp_path / "r.html").read_text()
    assert page.lstrip().lower().startswith("<!doctype html")
    assert all(text in page for text in ("debian:12", "arm:1", "sharing:1"))


def test_what_was_tolerated_is_told_as_a_warning(convert, tmp_path) -> None:
    files = layout_files(APP, ARM, index=True)
    del files["oci-layout"]
    write_folder(tmp_path / "in", files)
    done = convert("in", "-o", "docker-archive:out.tar")
    assert done.code == 0
    warnings = [line for line in done.complaints if "warning" in line]
    assert any("of an index only linux/" in line and "--platform" in line for line in warnings)
    assert convert("in", "-o", "docker-archive:out2.tar", "-q").err == ""
    assert convert("in", "-o", "oci:out3", "--profile", "strict").code == 4


def test_d06_no_name_and_no_error_can_steer_the_terminal(convert, tmp_path) -> None:
    evil = "a\x1b[31m\nfake.tar"
    write_tar(tmp_path / evil, docker_files(APP))
    (tmp_path / f"b{evil}").write_bytes(b"no archive" * 100)
    done = convert(evil, f"b{evil}", "-o", "oci:out", "-k")
    assert done.code == 4
    assert all(line.isprintable() for line in [*done.lines, *done.complaints])


# ---- failures ----


def test_of_a_mixed_folder_the_good_ones_are_finished_and_the_bad_one_reported(
    convert, tmp_path, saved
) -> None:
    done = convert("saved", "-o", "oci:out", "--keep-going")
    assert done.code == 1
    assert truths("oci:out") == truth(APP, TOOL, SHARING)
    assert sound("oci:out")
    assert any(
        line.strip().startswith("arm:1 (saved/z-broken.tar): diff_id") for line in done.lines
    )
    assert done.complaints[-1].endswith("which is noted in out.ocifast")
    write_tar(tmp_path / "saved/z-broken.tar", docker_files(ARM))
    done = convert("saved", "-o", "oci:out", "--json")
    assert done.code == 0
    hows = [layer["how"] for image in report_of(done.out)["images"] for layer in image["layers"]]
    assert hows.count("compressed") == 1
    assert sorted(os.listdir(tmp_path)) == ["out", "saved"]


def test_images_of_one_name_are_told_apart_by_their_archive(convert, tmp_path, saved) -> None:
    write_tar(tmp_path / "other.tar", docker_files(Sample(TOOL.layers, APP.names)))
    done = convert("saved/app.tar", "other.tar", "-o", "oci:out", "-k")
    assert done.code == 4
    assert any(line.startswith("  debian:12 (other.tar): ") for line in done.lines)
    assert truths("oci:out") == truth(APP)


def test_without_keep_going_it_stops_and_says_how_to_go_on(convert, tmp_path, saved) -> None:
    (tmp_path / "saved/a-first.tar").write_bytes(b"no archive" * 100)
    done = convert("saved", "-o", "oci:out")
    assert done.code == 4
    assert any("--keep-going" in line for line in done.complaints)
    assert not os.path.exists(tmp_path / "out.ocifast")


@pytest.mark.parametrize(
    ("source", "code"),
    [("saved/z-broken.tar", 1), ("saved/app.tar:x", 3), ("saved/readme.txt", 4), ("saved/app", 3)],
)
def test_the_exit_code_says_what_went_wrong(convert, saved, source: str, code: int) -> None:
    assert convert(source, "-o", "oci:out").code == code
    done = convert(source, "-o", "oci:out2", "-k", "--json")
    assert done.code == code
    (image,) = report_of(done.out)["images"]
    assert image["exit_code"] == code
    assert image["error"]


def test_what_is_there_is_not_overwritten_unless_asked_for(convert, tmp_path, saved) -> None:
    (tmp_path / "out.tar").write_bytes(b"precious")
    done = convert("saved/app.tar", "-o", "docker-archive:out.tar")
    assert done.code == 6
    assert "--overwrite" in done.out.decode()
    assert (tmp_path / "out.tar").read_bytes() == b"precious"
    assert convert("saved/app.tar", "-o", "docker-archive:out.tar", "--overwrite").code == 0
    assert truths("docker-archive:out.tar") == truth(APP)


def test_a_file_in_the_place_of_a_layout_is_said_to_be_one(convert, tmp_path, saved) -> None:
    (tmp_path / "out").write_bytes(b"precious")
    done = convert("saved/app.tar", "-o", "oci:out")
    assert done.code == 6
    assert done.complaints[-1].endswith("/out: it is a file, and a layout is a folder")
    assert sorted(os.listdir(tmp_path)) == ["out", "saved"]


def test_a_path_with_a_name_but_no_form_is_answered_with_what_is_missing(convert, saved) -> None:
    done = convert("saved/app.tar:debian:12", "-o", "oci:out")
    assert done.code == 3
    assert "as in oci:" in done.err


def test_an_error_as_json_is_an_object_as_well(convert, tmp_path) -> None:
    done = convert("missing.tar", "-o", "oci:out", "--json")
    value = json.loads(done.out)
    assert (value["schema"], value["exit_code"], done.code) == ("ocifast.error/1", 3, 3)


def test_the_three_commands_of_the_help_do_what_they_say(ocifast, tmp_path) -> None:
    write_tar(tmp_path / "app.tar", docker_files(APP))
    write_tar(tmp_path / "tool.tar", docker_files(TOOL))
    assert ocifast("convert", "app.tar", "-o", "images", "--to", "oci").code == 0
    assert ocifast("convert", "*.tar", "-o", "oci:all", "--compress", "zstd").code == 0
    assert ocifast("convert", "oci:all:debian:12", "-o", "docker-archive:back.tar").code == 0
    assert truths(f"oci:{tmp_path}/all") == truth(APP, TOOL)
    assert truths(f"{tmp_path}/back.tar") == truth(APP)
    assert ocifast("verify", "oci:all").code == 0
