"""`ocifast ls`: lines like tar's, one object per entry, and names that cannot do harm."""

import hashlib
import json
import os
import subprocess
import tarfile

import pytest

ENTRY_KEYS = [
    *("schema", "path", "kind", "size", "stored_size", "mode", "uid", "gid", "mtime_ns"),
    *("link_target", "dev_major", "dev_minor", "whiteout", "xattrs", "regions"),
    *("start_offset", "header_offset", "payload_offset"),
]


def entry(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in fields.items():
        setattr(info, key, value)
    return info


EVERYTHING = [
    (entry("etc/", tarfile.DIRTYPE, mode=0o755), "drwxr-xr-x 0/0                0 {} etc/"),
    (entry("etc/a", uid=1000, gid=100), "-rw-r--r-- 1000/100          6 {} etc/a"),
    (entry("etc/s", mode=0o4755), "-rwsr-xr-x 0/0                6 {} etc/s"),
    (
        entry("etc/l", tarfile.SYMTYPE, linkname="../to", mode=0o777),
        "lrwxrwxrwx 0/0                0 {} etc/l -> ../to",
    ),
    (entry("etc/h", tarfile.LNKTYPE, linkname="etc/a"), "hrw-r--r-- 0/0 0 {} etc/h link to etc/a"),
    (
        entry("null", tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666),
        "crw-rw-rw- 0/0              1,3 {} null",
    ),
    (entry("disk", tarfile.BLKTYPE, devmajor=8, devminor=1), "brw-r--r-- 0/0 8,1 {} disk"),
    (entry("pipe", tarfile.FIFOTYPE), "prw-r--r-- 0/0                0 {} pipe"),
    (entry("etc/.wh.motd", mode=0), "w--------- 0/0 0 {} etc/.wh.motd (hides etc/motd)"),
    (
        entry("srv/.wh..wh..opq", mode=0),
        "w--------- 0/0 0 {} srv/.wh..wh..opq (hides all below srv)",
    ),
]


def test_every_kind_of_entry_has_its_line(call, layers) -> None:
    layers.gzip("layer", *(member for member, _ in EVERYTHING))
    done = call("ls", "layer")
    assert done.code == 0
    for line, (_, expected) in zip(done.lines, EVERYTHING, strict=True):
        assert line.split() == expected.format("1970-01-01 00:00:00").split()


def test_columns_stand_below_each_other(call, layers) -> None:
    layers.gzip("layer", *(member for member, _ in EVERYTHING))
    lines = call("ls", "layer").lines
    assert {line.index("1970-01-01") for line in lines} == {32}


def test_times_are_utc_and_may_be_before_1970(call, layers) -> None:
    times = {
        1_700_000_000.75: "2023-11-14 22:13:20",
        -1: "1969-12-31 23:59:59",
        9_223_372_000: "2262-04-11 23:46:40",
        -9_223_372_000: "1677-09-21 00:13:20",
    }
    members = [entry(f"file-{number}", mtime=time) for number, time in enumerate(times)]
    layers.gzip("layer", *members)
    lines = call("ls", "layer").lines
    assert [" ".join(line.split()[3:5]) for line in lines] == list(times.values())


def test_names_that_could_steer_a_terminal_or_forge_a_line_are_escaped(call, layers) -> None:
    hostile = "a\x1b[2J\nb\t\\\u202e\x7f"
    raw = entry("caf\udce9")
    link = entry("link", tarfile.SYMTYPE, linkname="\r\nx")
    layers.gzip("layer", hostile, raw, link, "caf\xe9")
    lines = call("ls", "layer").lines
    assert [line[52:] for line in lines] == [
        r"a\033[2J\nb\t\\\342\200\256\177",
        r"caf\351",
        r"link -> \r\nx",
        "caf\xe9",
    ]


def test_json_has_the_same_keys_for_every_entry(call, layers) -> None:
    layers.gzip("layer", *(member for member, _ in EVERYTHING))
    found = [json.loads(line) for line in call("ls", "--json", "layer").lines]
    assert all(list(value) == ENTRY_KEYS for value in found)
    assert [value["path"] for value in found] == [member.name for member, _ in EVERYTHING]
    assert [value["whiteout"] for value in found[-3:]] == [None, "plain", "opaque"]
    assert found[1] | {"schema": ""} == {
        "schema": "",
        "path": "etc/a",
        "kind": "file",
        "size": 6,
        "stored_size": 6,
        "mode": 0o644,
        "uid": 1000,
        "gid": 100,
        "mtime_ns": 0,
        "link_target": "",
        "dev_major": 0,
        "dev_minor": 0,
        "whiteout": None,
        "xattrs": {},
        "regions": None,
        "start_offset": 512,
        "header_offset": 512,
        "payload_offset": 1024,
    }


def test_json_keeps_any_name_and_any_xattr(call, layers) -> None:
    info = entry('q"\\\n\x1b\u2028\udcff')
    info.pax_headers = {"SCHILY.xattr.user.note": "hi"}
    layers.gzip("layer", info)
    done = call("ls", "--json", "layer")
    assert done.out.isascii()
    (found,) = map(json.loads, done.lines)
    assert found["path"] == info.name
    assert found["xattrs"] == {"user.note": "aGk="}


def test_sizes_and_times_are_those_of_tar(ocifast, oracle, tmp_path) -> None:
    for name, size in {"one": 1, "two": 70_000}.items():
        (tmp_path / name).write_bytes(b"x" * size)
    subprocess.run([oracle("tar"), "-cf", "l.tar", "one", "two"], cwd=tmp_path, check=True)
    listing = subprocess.run(
        [oracle("tar"), "--utc", "--full-time", "--numeric-owner", "-tvf", "l.tar"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    theirs = [line.split() for line in listing.splitlines()]
    ours = [line.split() for line in ocifast("ls", "l.tar").lines]
    for mine, other in zip(ours, theirs, strict=True):
        assert [*mine[:4], *mine[5:]] == [*other[:4], *other[5:]]
        assert mine[4] == other[4][:8]


def test_more_entries_than_a_batch_are_all_printed_in_order(call, layers) -> None:
    names = [f"file-{number:05}" for number in range(9_000)]
    layers.gzip("layer", *names)
    assert [line.split()[-1] for line in call("ls", "layer").lines] == names
    assert [json.loads(line)["path"] for line in call("ls", "--json", "layer").lines] == names


def test_nothing_is_printed_of_a_layer_that_is_damaged_at_its_end(call, layers) -> None:
    blob = layers.gzip()
    layers.write("cut", blob[:-1])
    done = call("ls", "cut")
    assert (done.code, done.out) == (4, b"")
    assert done.err.startswith("ocifast: cut: gzip offset ")


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["lines", "json"])
def test_a_missing_layer_exits_as_not_found(call, form) -> None:
    done = call("ls", *form, "nowhere")
    assert (done.code, done.complaints) == (3, ["ocifast: nowhere: No such file or directory"])
    assert len(done.lines) == len(form)


def test_standard_input_can_be_listed(ocifast, layers) -> None:
    assert ocifast("ls", "-", input=layers.gzip()).lines[0].endswith("etc/hostname")


@pytest.fixture(params=["zstd:chunked", "estargz"])
def seekable(request, call, layers, tmp_path):
    """A layer with a table of contents, made of an archive with every kind of entry."""
    (tmp_path / "tree/etc").mkdir(parents=True)
    (tmp_path / "tree/etc/a").write_bytes(b"123456")
    (tmp_path / "tree/etc/h").hardlink_to(tmp_path / "tree/etc/a")
    (tmp_path / "tree/etc/l").symlink_to("../to")
    (tmp_path / "tree/new\nline").write_bytes(bytes(70_000))
    for path in tmp_path.rglob("tree/**/*"):
        os.utime(path, (1_700_000_000, 1_700_000_000), follow_symlinks=False)
    done = call("pack", "tree", "-o", "layer", "--compress", request.param, "-q")
    assert done.code == 0
    return "layer"


def test_a_toc_lists_what_the_tar_does(call, seekable) -> None:
    by_toc, by_tar = (call("ls", *more, seekable).lines for more in (["--toc"], []))
    assert by_toc == [line for line in by_tar if not line.endswith("stargz.index.json")]
    assert any(line[0] == "l" and line.endswith("etc/l -> ../to") for line in by_toc)


def test_a_toc_as_json_says_where_chunks_lie(call, seekable, tmp_path) -> None:
    found = [json.loads(line) for line in call("ls", "--toc", "--json", seekable).lines]
    keys = [key for key in ENTRY_KEYS[:15] if key not in ("stored_size", "regions")]
    assert all(list(value) == [*keys, "digest", "chunks"] for value in found)
    file = next(value for value in found if value["path"] == "etc/a")
    assert file["digest"] == "sha256:" + hashlib.sha256(b"123456").hexdigest()
    (chunk,) = file["chunks"]
    assert (chunk["size"], chunk["digest"]) == (6, file["digest"])
    assert 0 < chunk["offset"] < chunk["end_offset"] < (tmp_path / seekable).stat().st_size


def test_a_toc_is_listed_though_the_rest_is_damaged_and_nothing_of_it_is_read(
    call, seekable, tmp_path
) -> None:
    lines = call("ls", "--toc", seekable).lines
    with open(tmp_path / seekable, "r+b") as file:
        file.write(bytes(64))
    assert call("ls", "--toc", seekable).lines == lines
    assert call("ls", seekable).code == 4


def test_no_toc_is_said_in_one_line(call, layers) -> None:
    layers.gzip("layer", *(member for member, _ in EVERYTHING))
    done = call("ls", "--toc", "layer")
    assert (done.code, done.lines) == (4, [])
    assert "no table of contents" in done.err
    assert call("ls", "--toc", "-").code == 2
    assert call("ls", "--toc", "missing").code == 3
