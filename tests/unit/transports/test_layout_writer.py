"""index.json: every name is kept whoever else writes, and a kill shows the old or the new one."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.images import IMAGE_NAME, MANIFEST, REF_NAME, compact, descriptor, index_json

from ocifast.errors import DocumentError, StoreError
from ocifast.spec.descriptor import Descriptor
from ocifast.spec.index import LayoutIndex
from ocifast.transports.layout_index import add_entries, arrange_entries, name_annotations
from ocifast.transports.layout_writer import add_to_layout, prepare_layout

ONE, TWO = (Descriptor(MANIFEST, f"sha256:{digit * 64}", 7) for digit in "12")


def names(index: LayoutIndex) -> list[tuple[str, str | None, str | None]]:
    """First digit of the digest, ref.name, containerd's name."""
    return [
        (entry.digest[7], entry.annotations.get(REF_NAME), entry.annotations.get(IMAGE_NAME))
        for entry in index.manifests
    ]


# --- which names stand for what


def test_a_name_with_a_tag_stands_as_typed_and_in_full() -> None:
    assert name_annotations("debian:12") == {
        REF_NAME: "debian:12",
        IMAGE_NAME: "docker.io/library/debian:12",
    }


@pytest.mark.parametrize("name", ["latest", "v1.0", "debian", "a/b", "debian@sha256:" + "0" * 64])
def test_a_name_without_a_tag_stands_as_typed(name: str) -> None:
    assert name_annotations(name) == {REF_NAME: name}


def test_a_name_the_grammar_of_layouts_has_no_words_for_stands_in_full() -> None:
    assert name_annotations("a__b:1") == {IMAGE_NAME: "docker.io/library/a__b:1"}


def test_an_image_has_an_entry_for_each_name_and_one_without_any() -> None:
    index = add_entries(None, [(ONE, ["a", "b", "a"]), (TWO, [])])
    assert names(index) == [("1", "a", None), ("1", "b", None), ("2", None, None)]


def test_a_name_moves_to_the_image_that_is_added_last() -> None:
    index = add_entries(None, [(ONE, ["a", "b"])])
    index = add_entries(index, [(TWO, ["a"])])
    assert names(index) == [("1", "b", None), ("2", "a", None)]


def test_adding_the_same_again_changes_nothing() -> None:
    index = add_entries(None, [(ONE, ["a:1"]), (TWO, [])])
    assert add_entries(index, [(ONE, ["a:1"]), (TWO, [])]).manifests[0] in index.manifests
    assert len(add_entries(index, [(ONE, ["a:1"]), (TWO, [])]).manifests) == 2


def test_a_nameless_entry_goes_when_its_image_gets_a_name() -> None:
    index = add_entries(add_entries(None, [(ONE, [])]), [(ONE, ["a"])])
    assert names(index) == [("1", "a", None)]


def test_images_are_put_last_in_the_order_that_is_given() -> None:
    index = add_entries(None, [(TWO, ["a:1"]), (ONE, ["x:1"]), (TWO, ["b"]), (ONE, [])])
    given = [(ONE, ["x:1"]), (TWO, ["b", "a:1"])]
    arranged = arrange_entries(index, given)
    assert [name for _, name, _ in names(arranged)] == ["x:1", "b", "a:1"]
    assert arrange_entries(arranged, given) == arranged


def test_to_put_images_in_order_adds_no_name_that_another_image_has_by_now() -> None:
    index = add_entries(None, [(TWO, ["a"]), (ONE, ["b"])])
    assert names(arrange_entries(index, [(ONE, ["b"]), (ONE, ["a"])])) == names(index)


def test_an_entry_keeps_its_other_identity() -> None:
    theirs = Descriptor(
        MANIFEST, ONE.digest, 7, annotations={REF_NAME: "1", IMAGE_NAME: "docker.io/library/x:1"}
    )
    index = add_entries(LayoutIndex.build([theirs]), [(TWO, ["1"])])
    assert names(index) == [("1", None, "docker.io/library/x:1"), ("2", "1", None)]
    index = add_entries(LayoutIndex.build([theirs]), [(TWO, ["x:1"])])
    assert names(index) == [("2", "x:1", "docker.io/library/x:1")]


def test_other_annotations_and_unknown_fields_are_kept() -> None:
    entry = descriptor(b"x", MANIFEST, annotations={"k": "v", REF_NAME: "old"}, unknown=[1])
    raw = compact(
        {"schemaVersion": 2, "manifests": [entry], "annotations": {"a": "b"}, "more": {"x": None}}
    )
    value = json.loads(add_entries(LayoutIndex.parse(raw, document="x"), [(ONE, ["new"])]).raw)
    assert value["manifests"][0] == entry
    assert value["annotations"] == {"a": "b"}
    assert value["more"] == {"x": None}


def test_names_an_entry_brings_along_are_not_taken_over() -> None:
    source = Descriptor(MANIFEST, ONE.digest, 7, annotations={REF_NAME: "old", "k": "v"})
    index = add_entries(None, [(source, ["new"])])
    assert index.manifests[0].annotations == {"k": "v", REF_NAME: "new"}


def test_a_layout_names_more_images_than_an_index_may() -> None:
    many = [(Descriptor(MANIFEST, f"sha256:{n:064x}", 7), [f"a/b/c:{n}"]) for n in range(3000)]
    assert len(add_entries(None, many).manifests) == 3000
    with pytest.raises(DocumentError, match="at most 10000"):
        LayoutIndex.build([ONE] * 10_001)


# --- on disk


@pytest.fixture
def layout(tmp_path: Path) -> str:
    prepare_layout(str(tmp_path / "layout"))
    return str(tmp_path / "layout")


def read(layout: str) -> LayoutIndex:
    return LayoutIndex.parse((Path(layout) / "index.json").read_bytes(), document="index.json")


def test_a_new_layout_is_one_without_images(layout: str) -> None:
    assert json.loads((Path(layout) / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    assert read(layout).manifests == ()
    assert sorted(os.listdir(layout)) == ["index.json", "oci-layout"]


def test_a_layout_that_is_there_is_left_as_it_is(layout: str) -> None:
    add_to_layout(layout, [(ONE, ["a"])])
    before = (Path(layout) / "index.json").read_bytes()
    prepare_layout(layout)
    assert (Path(layout) / "index.json").read_bytes() == before


def test_a_folder_of_something_else_does_not_become_a_layout(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_bytes(b"x")
    with pytest.raises(StoreError, match="neither empty nor an OCI layout"):
        prepare_layout(str(tmp_path))
    assert os.listdir(tmp_path) == ["letter.txt"]


def test_a_layout_of_another_version_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "oci-layout").write_bytes(b'{"imageLayoutVersion":"9"}')
    with pytest.raises(DocumentError):
        prepare_layout(str(tmp_path))


def test_p20_an_index_that_is_a_link_is_not_followed(layout: str, tmp_path: Path) -> None:
    path = Path(layout) / "index.json"
    (tmp_path / "elsewhere").write_bytes(index_json([]))
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="it is a link"):
        add_to_layout(layout, [(ONE, ["a"])])


def test_an_index_that_is_broken_is_not_replaced(layout: str) -> None:
    (Path(layout) / "index.json").write_bytes(b"{")
    with pytest.raises(DocumentError):
        add_to_layout(layout, [(ONE, ["a"])])
    assert (Path(layout) / "index.json").read_bytes() == b"{"


ADD = """
import sys
from ocifast.spec.descriptor import Descriptor
from ocifast.transports.layout_writer import add_to_layout, prepare_layout
layout, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
prepare_layout(layout)
print("ready", flush=True)
sys.stdin.read(1)
for number in range(first, first + count):
    one = Descriptor("application/vnd.oci.image.manifest.v1+json", f"sha256:{number:064x}", 7)
    add_to_layout(layout, [(one, [f"tag-{number}"])])
"""


def start(layout: str, first: int, count: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-c", ADD, layout, str(first), str(count)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_ten_processes_that_add_ten_names_each_lose_none(tmp_path: Path) -> None:
    layout = str(tmp_path / "new")
    running = [start(layout, 10 * number, 10) for number in range(10)]
    for process in running:
        assert process.stdout.readline() == b"ready\n"
    for process in running:
        process.stdin.write(b"x")
        process.stdin.flush()
    for process in running:
        process.communicate(timeout=60)
        assert process.returncode == 0
    found = {entry.annotations[REF_NAME] for entry in read(layout).manifests}
    assert found == {f"tag-{number}" for number in range(100)}
    assert sorted(os.listdir(layout)) == ["index.json", "oci-layout"]


def test_a_kill_at_any_moment_leaves_a_whole_index(layout: str) -> None:
    rng = random.Random(5)
    for turn in range(6):
        process = start(layout, 1000 * turn, 500)
        assert process.stdout.readline() == b"ready\n"
        process.stdin.write(b"x")
        process.stdin.flush()
        until = time.monotonic() + rng.uniform(0.001, 0.2)
        while time.monotonic() < until:
            read(layout)  # whole at any moment, too
        process.send_signal(signal.SIGKILL)
        process.communicate()
        tags = [entry.annotations[REF_NAME] for entry in read(layout).manifests]
        mine = [tag for tag in tags if int(tag[4:]) >= 1000 * turn]
        assert mine == [f"tag-{1000 * turn + number}" for number in range(len(mine))]
        (Path(layout) / "index.json").unlink()
        prepare_layout(layout)  # what was left over is no hindrance


@pytest.mark.parametrize("step", ["fdatasync", "link", "rename"])
def test_a_failure_at_any_step_leaves_the_old_index(layout: str, step: str, monkeypatch) -> None:
    add_to_layout(layout, [(ONE, ["a"])])
    before = sorted(os.listdir(layout)), (Path(layout) / "index.json").read_bytes()

    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="No space") as error:
        add_to_layout(layout, [(TWO, ["b"])])
    assert error.value.filename == f"{layout}/index.json"
    assert (sorted(os.listdir(layout)), (Path(layout) / "index.json").read_bytes()) == before
