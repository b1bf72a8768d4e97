"""`pack_layer`: what becomes of a tree, the same whoever packs it and wherever."""

import hashlib
import io
import os
import subprocess
import sys
import tarfile

import pytest
from support.packing import WHEN, age, make_tree, pack, plain
from support.tables import HARDLINK, SYMLINK, entry

import ocifast
from ocifast.errors import ImageNotFound, ReferenceSyntaxError, TreeError, UnknownRecipe
from ocifast.ops.verify import verify

CODECS = ("none", "gzip", "zstd")


@pytest.fixture
def tree(tmp_path):
    return make_tree(tmp_path / "tree")


def names(path):
    with tarfile.open(path, encoding="utf-8", errors="surrogateescape") as tar:
        return tar.getnames()


# ---- what a layer is ----


@pytest.mark.parametrize("compress", CODECS)
def test_all_that_is_said_of_a_layer_is_true(tree, tmp_path, compress) -> None:
    layer = pack(tree, tmp_path / "out", compress=compress)
    report = ocifast.hash_layer(tmp_path / "out", profile="strict")
    assert (layer.digest, layer.diff_id) == (report.digest, report.diff_id)
    assert (layer.size, layer.uncompressed_size) == (report.size, report.uncompressed_size)
    assert (layer.entries, layer.media_type) == (report.entries, report.media_type)
    assert layer.path == str(tmp_path / "out")
    assert (layer.recipe is None) == (compress == "none")
    assert report.finding_count == 0


def test_compression_and_workers_make_no_difference_to_the_tar(
    tree, tmp_path, no_job_is_small
) -> None:
    found = {}
    for workers in (0, 1, 2):
        for compress in CODECS:
            out = tmp_path / f"{compress}{workers}"
            found[compress, workers] = pack(tree, out, compress=compress, workers=workers)
    assert len({layer.diff_id for layer in found.values()}) == 1
    for compress in CODECS:
        assert len({found[compress, workers].digest for workers in (0, 1, 2)}) == 1


def test_without_a_level_gzip_is_thorough(tree, tmp_path) -> None:
    assert ":level=6 " in str(pack(tree, tmp_path / "a").recipe)
    assert ":level=1 " in str(pack(tree, tmp_path / "b", recipe="gzip-isal").recipe)
    assert ":level=2 " in str(pack(tree, tmp_path / "c", compress="zstd").recipe)


def test_a_copy_made_in_another_order_gives_the_same_layer(tree, tmp_path) -> None:
    other = tmp_path / "other"
    paths = sorted((p for p in tree.rglob("*") if not p.is_symlink()), reverse=True)
    other.mkdir()
    for path in paths:
        target = other / path.relative_to(tree)
        if path.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            target.chmod(path.stat().st_mode & 0o7777)
        elif path.is_fifo():
            target.parent.mkdir(parents=True, exist_ok=True)
            os.mkfifo(target)
            target.chmod(0o640)
        elif path.relative_to(tree).as_posix() != "etc/file0.txt":
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
            target.chmod(path.stat().st_mode & 0o7777)
    os.link(other / "var/twin", other / "etc/file0.txt")
    for path in tree.rglob("*"):
        if path.is_symlink():
            (other / path.relative_to(tree)).symlink_to(os.readlink(path))
    (other / "var/fifo").chmod((tree / "var/fifo").stat().st_mode & 0o7777)
    age(other)
    assert pack(tree, tmp_path / "a").digest == pack(other, tmp_path / "b").digest


def test_the_tar_is_that_of_gos_writer(tmp_path) -> None:
    top = tmp_path / "top"
    (top / "etc").mkdir(parents=True)
    (top / "etc/hello").write_text("hello\n")
    (top / "etc/link").symlink_to("hello")
    for path, mode in (("etc", 0o755), ("etc/hello", 0o644)):
        (top / path).chmod(mode)
    age(top)
    pack(top, tmp_path / "out", compress="none", owner=(0, 0))
    # what Go gives for these three (formats: header by header, two blocks at the end)
    data = (tmp_path / "out").read_bytes()
    assert len(data) == 512 * 4 + 1024
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert [(m.name, m.type, m.mode) for m in tar] == [
            ("etc", b"5", 0o755),
            ("etc/hello", b"0", 0o644),
            ("etc/link", b"2", 0o777),
        ]


# ---- options ----


def test_nothing_is_younger_than_the_epoch(tree, tmp_path) -> None:
    layer = pack(tree, tmp_path / "a", source_date_epoch=WHEN - 5)
    with tarfile.open(tmp_path / "a") as tar:
        assert {member.mtime for member in tar} == {WHEN - 5}
    assert layer.diff_id != pack(tree, tmp_path / "b").diff_id
    assert (
        pack(tree, tmp_path / "c", source_date_epoch=WHEN).diff_id
        == pack(tree, tmp_path / "d").diff_id
    )


def test_a_prefix_stands_before_names_and_targets_of_hard_links(tree, tmp_path) -> None:
    pack(tree, tmp_path / "out", prefix="/opt/app/")
    assert all(name.startswith("opt/app/") for name in names(tmp_path / "out"))
    with tarfile.open(tmp_path / "out") as tar:
        assert tar.getmember("opt/app/var/twin").linkname == "opt/app/etc/file0.txt"
        assert tar.getmember("opt/app/etc/link").linkname == "file0.txt"


def test_what_is_excluded_is_not_even_read(tree, tmp_path) -> None:
    (tree / "usr/.wh.bad").touch()
    with pytest.raises(TreeError, match=r"\.wh\.bad"):
        pack(tree, tmp_path / "out")
    pack(tree, tmp_path / "out", exclude=("usr", "*.txt"))
    assert not any("usr" in name or name.endswith(".txt") for name in names(tmp_path / "out"))


def test_only_what_is_listed_is_packed(tree, tmp_path) -> None:
    pack(tree, tmp_path / "out", files_from=(b"usr/lib/deep", b"etc/empty"))
    assert names(tmp_path / "out")[:2] == ["etc", "etc/empty"]
    assert "usr/lib/deep/er/file2.txt" in names(tmp_path / "out")
    assert "usr/lib/file1.txt" not in names(tmp_path / "out")
    with pytest.raises(FileNotFoundError):
        pack(tree, tmp_path / "none", files_from=(b"no/such",))
    assert not (tmp_path / "none").exists()


def test_only_what_differs_from_a_layer_is_packed(tree, tmp_path) -> None:
    pack(tree, tmp_path / "base.tar.gz")
    (tree / "etc/new").write_text("new")
    (tree / "etc/file3.txt").unlink()
    age(tree)
    layer = pack(tree, tmp_path / "out", base=str(tmp_path / "base.tar.gz"))
    assert names(tmp_path / "out") == ["etc", "etc/.wh.file3.txt", "etc/new"]
    assert layer.entries == 3


def test_extensions_side_by_side_hold_the_same_entries(tree, tmp_path) -> None:
    pack(tree, tmp_path / "a")
    pack(tree, tmp_path / "b", sort="extension")
    assert names(tmp_path / "a") != names(tmp_path / "b")
    assert sorted(names(tmp_path / "a")) == sorted(names(tmp_path / "b"))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"level": 99}, UnknownRecipe),
        ({"recipe": "none-such"}, UnknownRecipe),
        ({"prefix": "a/../.."}, ValueError),
        ({"colour": "red"}, TypeError),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_is_made(
    tree, tmp_path, options, error
) -> None:
    with pytest.raises(error):
        pack(tree, tmp_path / "out", **options)
    assert os.listdir(tmp_path) == ["tree"]


# ---- where it goes ----


def test_it_is_written_to_a_descriptor_and_left_open(tree, tmp_path) -> None:
    reading, writing = os.pipe()
    with open(reading, "rb") as source, open(writing, "wb") as sink:
        layer = pack(tree / "etc", sink.fileno(), compress="zstd")
        sink.close()
        assert hashlib.sha256(source.read()).hexdigest() == layer.digest.encoded


def test_a_file_that_exists_is_replaced_only_if_that_is_said(tree, tmp_path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(FileExistsError):
        pack(tree, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"
    layer = pack(tree, tmp_path / "out", overwrite=True)
    assert (tmp_path / "out").stat().st_size == layer.size


@pytest.mark.parametrize("where", ["out", "etc/out", "usr/lib/out"])
def test_the_tree_itself_is_no_place_for_the_layer(tree, where) -> None:
    with pytest.raises(FileExistsError, match="inside"):
        pack(tree, tree / where)
    assert not (tree / where).exists()


def test_no_layout_is_made_in_the_tree_either(tree) -> None:
    before = sorted(os.listdir(tree))
    with pytest.raises(FileExistsError, match="inside"):
        pack(tree, f"oci:{tree}/layout:app")
    with pytest.raises(FileExistsError, match="inside"):
        pack(tree, f"oci:{tree}:app")
    assert sorted(os.listdir(tree)) == before


def test_an_image_of_one_layer_and_another_layer_on_top_of_it(tree, tmp_path) -> None:
    layout = f"oci:{tmp_path}/layout:app:1"
    first = pack(tree / "etc", layout, source_date_epoch=WHEN)
    second = pack(tree / "usr", layout, append=True, prefix="usr", compress="zstd")
    image = ocifast.open_image(layout)
    assert image.config is not None
    assert image.config.diff_ids == (first.diff_id, second.diff_id)
    assert [layer.descriptor.digest for layer in image.layers] == [first.digest, second.digest]
    assert len(image.config.history) == 2
    assert image.descriptor.digest == second.image
    assert verify(f"oci:{tmp_path}/layout:app:1").ok


def test_a_layer_is_not_put_on_an_image_that_is_not_there(tree, tmp_path) -> None:
    with pytest.raises(ImageNotFound):
        pack(tree, f"oci:{tmp_path}/layout:app", append=True)
    assert not (tmp_path / "layout").exists()
    with pytest.raises(ReferenceSyntaxError, match="name"):
        pack(tree, f"oci:{tmp_path}/layout")
    with pytest.raises(ReferenceSyntaxError, match="OCI layout"):
        pack(tree, f"docker-archive:{tmp_path}/a.tar:app")


def test_only_what_differs_from_an_image_is_put_on_it(tree, tmp_path) -> None:
    layout = f"oci:{tmp_path}/layout:app"
    pack(tree, layout)
    (tree / "etc/more").write_text("more")
    pack(tree, layout, append=True, base=layout)
    image = ocifast.open_image(layout)
    assert len(image.layers) == 2
    blob = tmp_path / "layout/blobs/sha256" / image.layers[1].descriptor.digest.encoded
    assert names(blob) == ["etc", "etc/more"]


# ---- trees from Python ----


def test_entries_and_contents_from_python_make_a_layer(tmp_path) -> None:
    items = [
        (entry("etc/"), None),
        (entry("etc/motd", mtime_ns=WHEN * 10**9), b"hello\n"),
        (entry("etc/file", size=5), io.BytesIO(b"12345")),
        (entry("etc/link", SYMLINK, link_target=b"motd"), None),
        (entry("etc/hard", HARDLINK, link_target=b"etc/motd"), None),
    ]
    layer = pack(iter(items), tmp_path / "out", compress="none")
    assert layer.entries == 5
    with tarfile.open(tmp_path / "out") as tar:
        assert tar.extractfile("etc/hard").read() == b"hello\n"
        assert tar.extractfile("etc/file").read() == b"12345"
        assert tar.getmember("etc/motd").mtime == WHEN


@pytest.mark.parametrize("content", [b"1234", b"123456"])
def test_a_content_of_another_length_than_its_entry_says_is_refused(tmp_path, content) -> None:
    with pytest.raises(TreeError, match="file"):
        pack([(entry("file", size=5), io.BytesIO(content))], tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_a_tree_from_python_is_read_as_strictly_as_any_layer(tmp_path) -> None:
    with pytest.raises(ocifast.OcifastError, match=r"\.\."):
        pack([(entry("../evil"), b"x")], tmp_path / "out")
    with pytest.raises(ocifast.OcifastError, match="second entry"):
        pack([(entry("a"), b"x"), (entry("a"), b"x")], tmp_path / "out")
    assert os.listdir(tmp_path) == []


# ---- bad input ----


def test_a_folder_that_is_not_there_is_said(tmp_path) -> None:
    with pytest.raises(FileNotFoundError):
        pack(tmp_path / "none", tmp_path / "out")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        pack(tmp_path / "file", tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == ["file"]


def test_w09_a_file_that_would_be_a_whiteout_is_an_error_and_nothing_is_made(
    tree, tmp_path
) -> None:
    (tree / "etc/.wh.x").write_text("real")
    with pytest.raises(TreeError, match=r"etc/\.wh\.x"):
        pack(tree, tmp_path / "out")
    assert os.listdir(tmp_path) == ["tree"]


def test_events_are_told_in_order(tree, tmp_path) -> None:
    told = []
    layer = pack(tree, tmp_path / "out", progress=told.append)
    assert [type(event).__name__ for event in told if type(event).__name__ != "LayerAdvanced"] == [
        "Planned",
        "LayerStarted",
        "LayerFinished",
    ]
    assert told[0].size == layer.uncompressed_size
    assert plain(tmp_path / "out", "gzip")[:1]


def test_very_many_small_files_take_little_memory_for_each(tmp_path) -> None:
    """The table of 60,000 entries is 8 MB; all that Python would keep of them is ten times that."""
    folders = [tmp_path / "tree" / str(number) for number in range(60)]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "0").write_bytes(b"x" * 1024)
        for number in range(1, 1000):
            os.link(folder / "0", folder / str(number))
    command = [sys.executable, "-P", "-m", "ocifast", "pack", tmp_path / "tree", "-o"]
    before, few = peak_of(
        [*command, tmp_path / "few", "-q", "--workers", "0", "--exclude", "*/[1-9]*"]
    )
    after, many = peak_of([*command, tmp_path / "many", "-q", "--workers", "0"])
    assert (few, many) == (120, 60_060)
    assert after - before < 60_000 * 600


def peak_of(command) -> tuple[int, int]:
    """The most memory of a command, in bytes, and how many entries are in what it wrote."""
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    asked = [sys.executable, "-P", "-c", code, *command]
    done = subprocess.run(asked, check=True, capture_output=True, text=True)
    layer = ocifast.hash_layer(command[command.index("-o") + 1])
    return int(done.stdout) * 1024, layer.entries
