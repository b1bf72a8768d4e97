"""`ocifast diff` as a person types it: output, exit codes, and sentences for what goes wrong."""

import gzip
import json
import os
import pty
import subprocess
from html.parser import HTMLParser

import jsonschema
import pytest
from support.changes import Node, names, put_on_disk, tar_of, tree
from support.images import layout_files, make_sample, write_folder, write_tar

OLD = tree(
    bin__sh=Node(data=b"\0bin", mode=0o755, uid=0, gid=0),
    etc__gone=Node(data=b"x" * 2000),
    etc__motd=Node(data=b"hello\nworld\n"),
    link=Node("symlink", b"a"),
    same=Node(),
)
NEW = tree(
    bin__new=Node(data=b"y" * 3000),
    bin__sh=Node(data=b"\0bin", mode=0o4755, uid=5, gid=0),
    etc__motd=Node(data=b"hello\nthere\n", mode=0o600),
    link=Node("symlink", b"b"),
    same=Node(),
    **{"two\nlines": Node()},
)
LINES = [
    "A bin/new  +3.0 kB",
    "M bin/sh  (rwxr-xr-x -> rwsr-xr-x, owner 0:0 -> 5:0)",
    "D etc/gone  -2.0 kB",
    "M etc/motd  (rw-r--r-- -> rw-------, content)",
    "M link  (link a -> b)",
    r"A two\nlines",
]
SUMMARY = [
    "2 added, 3 modified, 1 deleted, 0 renamed, 3 the same; +3.0 kB -2.0 kB",
    "     +3.0 kB  bin/",
    "     -2.0 kB  etc/",
]
NAMES = ["bin/new", "bin/sh", "etc/gone", "etc/motd", "link", "two\nlines"]

PROGRESS = ("ocifast: comparing", "ocifast: [")


def said(done):
    """What was said, but for how far it has got."""
    return [line for line in done.complaints if not line.startswith(PROGRESS)]


@pytest.fixture(autouse=True)
def sides(tmp_path, monkeypatch):
    (tmp_path / "a.tar").write_bytes(tar_of(OLD))
    (tmp_path / "b.tar").write_bytes(tar_of(NEW))
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


# --- what is printed


def test_a_line_for_each_change_and_totals(ocifast) -> None:
    done = ocifast("diff", "a.tar", "b.tar")
    assert done.lines == LINES + SUMMARY
    assert (done.code, said(done)) == (1, [])


def test_no_difference_is_said_and_the_exit_code_is_0(ocifast) -> None:
    done = ocifast("diff", "a.tar", "a.tar")
    assert (done.code, done.lines, said(done)) == (0, ["no difference (7 entries)"], [])
    assert ocifast("diff", "-q", "a.tar", "a.tar").out == b""


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        (["--stat"], SUMMARY),
        (["-q"], LINES),
        (["--stat", "-q"], []),
        (["--name-only"], [r"two\nlines" if name == NAMES[-1] else name for name in NAMES]),
        (["--ignore", "mode,owner", "--ignore", "link"], None),
        (["--exclude", "/etc", "--exclude", "bin/"], None),
    ],
)
def test_options_say_what_is_printed(call, options, lines) -> None:
    done = call("diff", "a.tar", "b.tar", *options)
    assert done.code == 1
    if lines is None:
        assert len(done.lines) < len(LINES + SUMMARY)
    else:
        assert done.lines == lines


def test_names_are_given_as_they_are_with_a_nul_behind(call) -> None:
    done = call("diff", "a.tar", "b.tar", "--name-only", "-z")
    assert done.out == b"".join(name.encode() + b"\0" for name in NAMES)


def test_patterns_come_from_a_file_too(call, tmp_path) -> None:
    (tmp_path / "ignored").write_text("# what we do not look at\n/bin/\n\nlink\n*lines\n")
    done = call("diff", "a.tar", "b.tar", "--ignore-file", "ignored", "--exclude", "motd", "-q")
    assert done.lines == [LINES[2]]
    assert call("diff", "a.tar", "b.tar", "--ignore-file", "none").code == 3


def test_a_rename_has_both_names(call, tmp_path) -> None:
    (tmp_path / "c.tar").write_bytes(tar_of(tree(etc__moved=Node(data=b"x" * 2000, mode=0o600))))
    (tmp_path / "d.tar").write_bytes(tar_of(tree(etc__gone=Node(data=b"x" * 2000))))
    done = call("diff", "d.tar", "c.tar", "--renames", "-q")
    assert done.lines == ["R etc/gone => etc/moved  (rw-r--r-- -> rw-------)"]
    assert call("diff", "d.tar", "c.tar", "--renames", "--name-only").lines == [
        "etc/gone",
        "etc/moved",
    ]


def test_layers_are_headed_by_their_number(call, tmp_path) -> None:
    layout = write_folder(tmp_path / "layout", layout_files(make_sample()))
    done = call("diff", f"oci:{layout}", "a.tar", "--layers", "-q")
    assert [line for line in done.lines if line.startswith("layer")] == ["layer 0:", "layer 1:"]


def test_documents_have_lines_of_their_own(call, tmp_path) -> None:
    one, two = make_sample(), make_sample()
    two.runtime["Env"] = ["A=2", "B=new"]
    for name, sample in (("one", one), ("two", two)):
        write_folder(tmp_path / name, layout_files(sample))
    done = call("diff", "oci:one", "oci:two", "--ignore", "manifest")
    assert done.lines == [
        'M config/config/Env/A  "1" -> "2"',
        'A config/config/Env/B  "new"',
        "0 added, 0 modified, 0 deleted, 0 renamed, 0 the same; +0 B -0 B; 2 fields of documents",
    ]
    assert said(done) == ["ocifast: note: 2 layers are the same on both sides, from the bottom"]
    assert call("diff", "oci:one", "oci:two", "--ignore", "config,manifest").code == 0


# --- JSON

ENTRY = {
    "type": ["object", "null"],
    "required": [
        *("path", "kind", "size", "mode", "uid", "gid", "mtime_ns", "link_target", "dev_major"),
        *("dev_minor", "whiteout", "xattrs", "digest"),
    ],
    "properties": {
        "path": {"type": "string"},
        "size": {"type": "integer", "minimum": 0},
        "digest": {"type": ["string", "null"], "pattern": "^sha256:[0-9a-f]{64}$"},
    },
}
SCHEMAS = {
    "ocifast.diff-change/1": {
        "required": ["change", "path", "old_path", "fields", "growth", "layer", "old", "new"],
        "properties": {
            "schema": {},
            "change": {"enum": ["added", "modified", "deleted", "renamed"]},
            "path": {"type": "string"},
            "old_path": {"type": ["string", "null"]},
            "fields": {"type": "array", "items": {"type": "string"}},
            "growth": {"type": "integer"},
            "layer": {"type": ["integer", "null"]},
            "old": ENTRY,
            "new": ENTRY,
        },
        "additionalProperties": False,
    },
    "ocifast.diff-document/1": {
        "required": ["document", "pointer", "old", "new"],
        "properties": {
            "schema": {},
            "document": {"enum": ["config", "manifest"]},
            "pointer": {"type": "string", "pattern": "^/"},
            "old": {"type": ["string", "null"]},
            "new": {"type": ["string", "null"]},
        },
        "additionalProperties": False,
    },
    "ocifast.diff/1": {
        "required": [
            *("a", "b", "differs", "added", "modified", "deleted", "renamed", "same"),
            *("bytes_grown", "bytes_shrunk", "changes", "documents", "growth", "notes"),
        ],
        "properties": {
            "differs": {"type": "boolean"},
            "notes": {"type": "array", "items": {"type": "string"}},
            "growth": {
                "type": "array",
                "items": {"type": "object", "required": ["path", "grown", "shrunk"]},
            },
        },
    },
}


def objects(done):
    found = [json.loads(line) for line in done.lines]
    for each in found:
        jsonschema.validate(each, SCHEMAS[each["schema"]])
    return found


@pytest.mark.parametrize("options", [[], ["--renames"], ["--layers"], ["--quick"]])
def test_json_lines_follow_their_schemas(call, tmp_path, options) -> None:
    sample = make_sample()
    sample.runtime["Labels"] = {"x": "y"}
    write_folder(tmp_path / "one", layout_files(make_sample(seed=3)))
    write_folder(tmp_path / "two", layout_files(sample))
    for a, b in (("a.tar", "b.tar"), ("oci:one", "oci:two"), ("a.tar", "a.tar")):
        done = call("diff", a, b, "--json", *options)
        *others, last = objects(done)
        assert last["schema"] == "ocifast.diff/1"
        assert (last["a"], last["b"]) == (a, b)
        changes = [each for each in others if each["schema"] == "ocifast.diff-change/1"]
        assert len(changes) == last["changes"]
        assert len(others) - len(changes) == last["documents"]
        assert last["differs"] is bool(others) is (done.code == 1)


def test_json_tells_what_lines_tell(call) -> None:
    first, second, *_ = objects(call("diff", "a.tar", "b.tar", "--json"))
    assert (first["change"], first["path"], first["growth"], first["old"]) == (
        *("added", "bin/new", 3000),
        None,
    )
    assert second["fields"] == ["mode", "owner"]
    assert (second["old"]["mode"], second["new"]["mode"]) == (0o755, 0o4755)


def test_json_of_trouble_is_an_error_object(call, tmp_path) -> None:
    (tmp_path / "bad").write_bytes(b"no layer" * 100)
    done = call("diff", "a.tar", "bad", "--json")
    (found,) = map(json.loads, done.lines)
    assert (found["schema"], found["exit_code"], done.code) == ("ocifast.error/1", 4, 4)
    assert "while reading bad" in found["message"]


# --- content


def test_small_text_files_are_shown_line_by_line(call) -> None:
    done = call("diff", "a.tar", "b.tar", "--content")
    shown = ["--- a/etc/motd", "+++ b/etc/motd", "@@ -1,2 +1,2 @@", " hello", "-world", "+there"]
    assert done.lines == [*LINES, *shown, *SUMMARY]


@pytest.mark.parametrize("kind", ["layer", "folder"])
def test_what_is_not_text_or_too_long_is_named(call, tmp_path, kind) -> None:
    long = b"line\n" * 60_000
    files = {
        "binary": b"\0a",
        "latin": b"caf\xe9",
        "long": long,
        "tabs": b"a\tb",
        "esc\x1b": b"\x1b[31m",
    }
    changed = {
        "binary": b"\0b",
        "latin": b"caf\xe8",
        "long": b"x" + long,
        "tabs": b"a       b\n",
        "esc\x1b": b"\x1b[32m",
    }
    for name, each in (("old", files), ("new", changed)):
        content = tree(**{key: Node(data=data) for key, data in each.items()})
        if kind == "folder":
            put_on_disk(content, tmp_path / name)
        else:
            (tmp_path / name).write_bytes(gzip.compress(tar_of(content)))
    done = call("diff", "old", "new", "--content", "-q")
    assert done.lines[5:] == [
        "binary is not text",
        r"--- a/esc\033",
        r"+++ b/esc\033",
        "@@ -1 +1 @@",
        r"-\033[31m",
        r"\ No newline at end of file",
        r"+\033[32m",
        r"\ No newline at end of file",
        "latin is not text",
        "long is too long to be shown",
        "--- a/tabs",
        "+++ b/tabs",
        "@@ -1 +1 @@",
        "-a       b",
        r"\ No newline at end of file",
        "+a       b",
    ]


def test_of_an_index_no_content_is_shown(call) -> None:
    call("index", "a.tar", "-o", "a.npz")
    done = call("diff", "a.npz", "b.tar", "--content", "-q")
    assert done.lines == [*LINES, "etc/motd is not at hand to be shown"]


# --- files that are written


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]


def test_a_page_is_written_whole_and_loads_nothing(call, tmp_path) -> None:
    (tmp_path / "page.html").write_text("old")
    os.link(tmp_path / "page.html", tmp_path / "other")
    done = call("diff", "a.tar", "b.tar", "--html", "page.html")
    assert (done.code, done.lines) == (1, LINES + SUMMARY)
    page = Page((tmp_path / "page.html").read_text())
    assert {"html", "body", "script"} <= set(page.tags)
    assert page.addresses == []
    assert (tmp_path / "other").read_text() == "old", "it was replaced, not written over"
    assert sorted(os.listdir(tmp_path)) == ["a.tar", "b.tar", "other", "page.html"]


@pytest.mark.parametrize("option", ["--html", "--layer-out"])
@pytest.mark.parametrize(("path", "code"), [("none/file", 3), ("a.tar/file", 3), ("folder", 6)])
def test_a_path_that_cannot_be_written_is_found_beforehand(call, tmp_path, option, path, code):
    (tmp_path / "folder").mkdir()
    done = call("diff", "no-such-layer", "b.tar", option, path)
    assert (done.code, done.out) == (code, b"")
    assert said(done)[0].startswith(f"ocifast: {path}: ")


def test_the_layer_makes_one_of_the_other(call, tmp_path) -> None:
    done = call("diff", "a.tar", "b.tar", "--layer-out", "up.tar.gz")
    assert done.code == 1
    assert done.lines == LINES + SUMMARY
    assert said(done)[0].startswith("ocifast: up.tar.gz: 8 entries, ")
    found = names(gzip.decompress((tmp_path / "up.tar.gz").read_bytes()))
    assert sorted(found) == [
        *("bin/", "bin/new", "bin/sh", "etc/", "etc/.wh.gone", "etc/motd", "link", "two\nlines"),
    ]


def test_the_layer_is_compressed_as_asked_and_described_in_json(call, tmp_path) -> None:
    done = call("diff", "a.tar", "b.tar", "--json", "--layer-out", "up", "--compress", "zstd")
    assert (tmp_path / "up").read_bytes()[:4] == b"\x28\xb5\x2f\xfd"
    last = json.loads(done.lines[-1])
    assert (last["schema"], last["path"], last["entries"]) == ("ocifast.pack/1", "up", 8)


def test_a_file_that_exists_is_replaced_only_when_asked(call, tmp_path) -> None:
    (tmp_path / "up").write_text("mine")
    done = call("diff", "no-such-layer", "b.tar", "--layer-out", "up")
    assert (done.code, said(done)) == (
        6,
        ["ocifast: up: it is there already (see --overwrite)"],
    )
    assert (tmp_path / "up").read_text() == "mine"
    assert call("diff", "a.tar", "b.tar", "--layer-out", "up", "--overwrite").code == 1
    assert (tmp_path / "up").read_bytes()[:2] == b"\x1f\x8b"


# --- colour


def on_a_terminal(start, *words, **environment):
    """What the command writes to a terminal."""
    master, slave = pty.openpty()
    process = start("diff", *words, stdout=slave, env=os.environ | environment)
    os.close(slave)
    out = b""
    try:
        while piece := os.read(master, 4096):
            out += piece
    except OSError:  # EIO: the other end is closed
        pass
    finally:
        os.close(master)
    assert process.wait() == 1
    return out


def test_marks_are_coloured_on_a_terminal_and_nowhere_else(start, ocifast) -> None:
    coloured = on_a_terminal(start, "a.tar", "b.tar")
    assert b"\x1b[32mA\x1b[0m bin/new" in coloured
    assert b"\x1b[31mD\x1b[0m etc/gone" in coloured
    assert b"\x1b[33mM\x1b[0m bin/sh" in coloured
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert b"\x1b" not in on_a_terminal(start, "a.tar", "b.tar", **environment)
    assert b"\x1b" not in ocifast("diff", "a.tar", "b.tar").out


# --- pipes


@pytest.mark.parametrize("blob", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_layer_comes_by_standard_input(ocifast, blob) -> None:
    done = ocifast("diff", "-", "b.tar", input=blob(tar_of(OLD)))
    assert done.lines == LINES + SUMMARY
    done = ocifast("diff", "b.tar", "-", "-q", input=blob(tar_of(NEW)))
    assert (done.code, done.out) == (0, b"")


def test_an_archive_comes_by_standard_input(ocifast, tmp_path) -> None:
    sample = make_sample()
    path = write_tar(tmp_path / "save.tar", layout_files(sample))
    with open(path, "rb") as file:
        done = ocifast("diff", "oci-archive:-", "save.tar", stdin=file)
    assert done.lines == ["no difference"]
    assert done.code == 0


def test_a_reader_that_goes_away_is_not_trouble_to_tell_of(ocifast) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = ocifast("diff", "a.tar", "b.tar", stdout=writing)
    finally:
        os.close(writing)
    assert (done.code, said(done)) == (141, [])


def test_platforms_that_are_asked_for_are_compared(call, tmp_path) -> None:
    for name, architecture in (("one", "amd64"), ("two", "arm64")):
        sample = make_sample(platform=("linux", architecture))
        write_folder(tmp_path / name, layout_files(sample))
    done = call("diff", "oci:one", "oci:two", "--platform", "linux/amd64,linux/arm64")
    assert done.code == 1
    assert 'M config/architecture  "amd64" -> "arm64"' in done.lines


def test_neither_side_is_written_to_nor_is_anything_left_beside_them(ocifast, tmp_path) -> None:
    put_on_disk(tree(etc__x=Node(data=b"x")), tmp_path / "top")
    before = subprocess.check_output(["find", tmp_path, "-printf", "%p %T@ %C@\n"])
    assert ocifast("diff", "top", "b.tar").code == 1
    assert subprocess.check_output(["find", tmp_path, "-printf", "%p %T@ %C@\n"]) == before
