"""`ocifast hash -c`: lists and verdicts are those of `sha256sum -c`, and our JSON is a list too."""

import hashlib
import json
import subprocess

import pytest


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def checked(call, layers):
    """Check a list given as text."""

    def check(text: str | bytes, *options: str):
        layers.write("LIST", text if isinstance(text, bytes) else text.encode())
        return call("hash", *options, "-c", "LIST")

    return check


@pytest.mark.parametrize(
    "form",
    [
        "{sum}  {name}\n",
        "{sum} *{name}\n",
        "{upper}  {name}\n",
        "SHA256 ({name}) = {sum}\n",
        "{sum}  {name}\r\n",
        "{sum}  {name}",
        "# a comment\n\n  {sum}  {name}\n",
        "\\{sum}  {name}\n",
        "\\SHA256 ({name}) = {sum}\n",
    ],
    ids=["text", "binary", "upper", "tag", "crlf", "no newline", "comment", "marked", "marked tag"],
)
def test_every_form_of_line_is_read(checked, layers, form: str) -> None:
    digest = sha256(layers.gzip("a"))
    done = checked(form.format(sum=digest, upper=digest.upper(), name="a"))
    assert (done.code, done.lines, done.err) == (0, ["a: OK"], "")


def test_our_own_json_is_a_list_entries_included(call, checked, layers) -> None:
    layers.gzip("a")
    layers.gzip(b"caf\xe9\n", "b")
    listed = call("hash", "--json", "--entries", "a", b"caf\xe9\n").out
    done = checked(listed)
    assert (done.code, done.out) == (0, b"a: OK\n\\caf\xe9\\n: OK\n")


@pytest.mark.parametrize(
    ("key", "value"),
    [("digest", "sha256:" + "0" * 64), ("diff_id", "sha256:" + "0" * 64), ("size", 7)],
)
def test_of_json_digest_size_and_diff_id_are_all_checked(
    call, checked, layers, key: str, value
) -> None:
    layers.gzip("a")
    listed = json.loads(call("hash", "--json", "a").out) | {key: value}
    done = checked(json.dumps(listed))
    assert (done.code, done.lines) == (1, ["a: FAILED"])
    assert done.complaints[0].startswith(f"ocifast: a: {key} is ")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0" * 63 + "  a", "neither"),
        ("0" * 64 + " a", "neither"),
        ("0" * 64 + "  ", "neither"),
        ("MD5 (a) = " + "0" * 32, "neither"),
        ("\\" + "0" * 64 + "  a\\q", "unknown escape"),
        ("0" * 64 + "  a\0b", "NUL"),
        ("x" * 70_000, "longer"),
        ("{", "malformed JSON"),
        ("{" * 60_000, "malformed JSON"),
        ("{}", "schema"),
        ('{"schema":"ocifast.error/1","path":"a"}', "schema"),
        ('{"schema":"ocifast.hash/1","path":"a"}', "no size"),
        ('{"schema":"ocifast.hash/1","path":"a","size":true}', "no size"),
        ('{"schema":"ocifast.hash/1","size":1}', "no path"),
        ('{"schema":"ocifast.hash/1","path":"a","size":1,"digest":5}', "digest"),
    ],
    ids=range(15),
)
def test_a_malformed_list_is_refused_as_a_whole_with_its_line(
    checked, layers, line: str, reason: str
) -> None:
    digest = sha256(layers.gzip("a"))
    done = checked(f"{digest}  a\n{line}\n")
    assert (done.code, done.lines) == (4, [])
    (complaint,) = done.complaints
    assert complaint.startswith("ocifast: LIST: line 2: ")
    assert reason in complaint


def test_a_path_that_cannot_be_a_file_name_is_refused(checked, call, layers) -> None:
    layers.gzip("a")
    listed = json.loads(call("hash", "--json", "a").out) | {"path": "\ud800"}
    assert checked(json.dumps(listed)).code == 4


@pytest.mark.parametrize("text", ["", "\n# nothing\n"], ids=["empty", "comments only"])
def test_a_list_of_nothing_is_refused(checked, text: str) -> None:
    done = checked(text)
    assert (done.code, done.complaints) == (4, ["ocifast: LIST: no layer is listed"])


def test_a_list_that_is_missing_or_a_folder_is_named(call, tmp_path) -> None:
    done = call("hash", "-c", "nowhere")
    assert (done.code, done.complaints) == (3, ["ocifast: nowhere: No such file or directory"])
    done = call("hash", "-c", str(tmp_path))
    assert (done.code, done.complaints) == (6, [f"ocifast: {tmp_path}: Is a directory"])


def test_an_endless_line_is_refused_without_being_collected(call) -> None:
    assert call("hash", "-c", "/dev/zero").code == 4


def test_verdicts_are_those_of_sha256sum(ocifast, layers, oracle, tmp_path) -> None:
    good = sha256(layers.gzip("good"))
    layers.gzip("other", "something/else")
    text = f"{good}  good\n{good}  other\n{good}  missing\n".encode()
    ours = ocifast("hash", "-c", "-", input=text)
    command = [oracle("sha256sum"), "-c", "-"]
    theirs = subprocess.run(command, cwd=tmp_path, input=text, capture_output=True, check=False)
    assert ours.out == theirs.stdout
    assert ours.code == theirs.returncode == 1
    assert ours.complaints[-1] == "ocifast: of 3 listed layers 1 differ, 1 could not be read"


def test_only_missing_layers_exit_as_not_found(checked) -> None:
    done = checked("0" * 64 + "  missing\n")
    assert (done.code, done.lines) == (3, ["missing: FAILED open or read"])


def test_a_damaged_layer_differs_although_it_cannot_be_read(checked, layers) -> None:
    blob = layers.gzip("a")
    digest = sha256(blob)
    layers.write("a", blob[:-20])
    done = checked(f"{digest}  a\n")
    assert (done.code, done.lines) == (1, ["a: FAILED"])
    assert f"digest is sha256:{sha256(blob[:-20])}, expected sha256:{digest}" in done.err
    assert "gzip offset" in done.err


def test_a_file_that_is_no_layer_fails_although_its_digest_is_right(checked, layers) -> None:
    layers.write("a", b"any text " * 100)
    done = checked(sha256(b"any text " * 100) + "  a\n")
    assert (done.code, done.lines) == (4, ["a: FAILED"])
    assert "digest is as listed, but tar offset 0: not a tar archive" in done.err


def test_quiet_prints_only_failures(checked, layers) -> None:
    digest = sha256(layers.gzip("a"))
    layers.gzip("b", "other")
    done = checked(f"{digest}  a\n{digest}  b\n", "-q")
    assert (done.code, done.lines) == (1, ["b: FAILED"])


def test_verdicts_as_json(checked, layers) -> None:
    digest = sha256(layers.gzip("a"))
    found = [json.loads(line) for line in checked(f"{digest}  a\n{digest}  b\n", "--json").lines]
    assert found == [
        {"schema": "ocifast.check/1", "path": "a", "ok": True, "message": "", "exit_code": 0},
        {
            "schema": "ocifast.check/1",
            "path": "b",
            "ok": False,
            "message": "No such file or directory",
            "exit_code": 3,
        },
    ]


def test_a_list_and_its_layer_cannot_both_be_standard_input(ocifast) -> None:
    line = b"0" * 64 + b"  -\n"
    assert ocifast("hash", "-c", "-", input=line + line).code == 2


def test_a_long_list_is_checked_in_order(ocifast, layers) -> None:
    blobs = [layers.tar(f"file-{number}") for number in range(300)]
    text = b""
    for number, blob in enumerate(blobs):
        text += b"%s  %s\n" % (sha256(blob).encode(), layers.write(f"{number}.tar", blob))
    done = ocifast("hash", "-c", "-", input=text)
    assert done.lines == [f"{number}.tar: OK" for number in range(300)]
