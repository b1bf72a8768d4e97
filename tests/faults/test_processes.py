"""The real command with real workers is killed, interrupted, and run ten times at once."""

import itertools
import json
import os
import random
import select
import signal

import pytest
from support.faults import contents, facts_of
from support.processes import alive
from support.running import SLOW, Command, all_gone, write_images

from ocifast import convert
from ocifast.ops.verify import verify

TARGETS = {
    "oci": ("oci:{}/images", "images.ocifast"),
    "oci-archive": ("oci-archive:{}/images.tar", "images.tar.ocifast"),
}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("images") / "in")


@pytest.fixture(scope="module")
def truth(images, tmp_path_factory):
    """What each target is when nothing disturbs the run."""
    found = {}
    for name, (target, _) in TARGETS.items():
        folder = tmp_path_factory.mktemp(name)
        code, error = Command(*images, "-o", target.format(folder), *SLOW).end()
        assert (code, error) == (0, "")
        found[name] = contents(folder, hidden=True)
    return found


def sound(folder, name):
    """Whatever is there under a final name verifies."""
    target = TARGETS[name][0].format(folder)
    path = target.partition(":")[2]
    shown = os.path.join(path, "oci-layout") if name == "oci" else path
    if os.path.exists(shown):
        assert verify(target, workers=0).ok
    else:
        assert not os.path.exists(path) or name == "oci"


def resumes(images, folder, name, truth, tmp_path):
    """The same command again does what is left, and not more."""
    target, beside = TARGETS[name]
    done = set()
    journal = folder / beside / "journal"
    if journal.exists():
        done = facts_of(journal)
    report = tmp_path / "report.json"
    command = Command(*images, "-o", target.format(folder), *SLOW, "--report", str(report))
    assert command.end() == (0, "")
    assert contents(folder, hidden=True) == truth[name]
    layers = [at for image in json.loads(report.read_text())["images"] for at in image["layers"]]
    assert {at["diff_id"] for at in layers if at["how"] == "compressed"} & done == set()
    assert {at["diff_id"] for at in layers if at["how"] == "resumed"} == done


def begin(images, folder, name, facts):
    """A run that has finished so many layers; None when it was too quick for us."""
    folder.mkdir()
    target, beside = TARGETS[name]
    command = Command(*images, "-o", target.format(folder), *SLOW)
    if not command.wait_for_facts(folder / beside / "journal", facts):
        command.end()
        return None
    return command


@pytest.mark.parametrize("name", TARGETS)
def test_kill_9_at_any_time_leaves_no_worker_and_nothing_unfinished(name, images, truth, tmp_path):
    rng = random.Random(9)
    for facts in (0, 3, 6):
        folder = tmp_path / str(facts)
        command = begin(images, folder, name, facts)
        if command is None:
            continue
        pids = command.workers() if facts < 5 else []
        select.select([], [], [], rng.random() * 0.05)
        command.signal(signal.SIGKILL)
        assert command.end()[0] in (-signal.SIGKILL, 0)
        assert all_gone(pids)
        sound(folder, name)
        if (folder / TARGETS[name][1]).exists() or name == "oci":
            resumes(images, folder, name, truth, tmp_path)


@pytest.mark.parametrize("name", TARGETS)
def test_a_worker_that_is_killed_is_an_error_and_the_next_run_goes_on(
    name, images, truth, tmp_path
):
    folder = tmp_path / "out"
    command = begin(images, folder, name, 1)
    first, *others = command.workers()
    os.kill(first, signal.SIGKILL)
    code, error = command.end()
    assert code == 6
    assert f"worker process {first}" in error
    assert all_gone([first, *others])
    sound(folder, name)
    resumes(images, folder, name, truth, tmp_path)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)]
)
@pytest.mark.parametrize("facts", [0, 2])
def test_an_interrupted_run_says_nothing_leaves_no_worker_and_goes_on(
    number, code, facts, images, truth, tmp_path
):
    folder = tmp_path / "out"
    command = begin(images, folder, "oci-archive", facts)
    pids = command.workers()
    command.signal_group(number)
    assert command.end() == (code, "")
    assert all_gone(pids)
    sound(folder, "oci-archive")
    resumes(images, folder, "oci-archive", truth, tmp_path)


def test_ctrl_c_for_one_process_only_is_the_same(images, truth, tmp_path):
    folder = tmp_path / "out"
    command = begin(images, folder, "oci", 1)
    pids = command.workers()
    command.signal(signal.SIGINT)
    assert command.end() == (130, "")
    assert not any(map(alive, pids))
    resumes(images, folder, "oci", truth, tmp_path)


@pytest.mark.parametrize("compress", ["zstd", "keep"])
def test_ten_processes_that_write_into_one_layout_lose_nothing(compress, tmp_path):
    images = write_images(tmp_path / "in", images=10, layers=2, size=20_000)
    options = ["--compress", compress, "--workers", "1"]
    commands = [Command(path, "-o", f"oci:{tmp_path}/out", *options) for path in images]
    assert [command.end() for command in commands] == [(0, "")] * 10
    result = verify(f"oci:{tmp_path}/out", workers=0)
    assert (result.ok, len(result.images), result.unreachable) == (True, 10, ())
    names = {name for image in result.images for name in image.names}
    assert names == {f"example.com/image-{number}:1" for number in range(10)}
    assert sorted(os.listdir(tmp_path)) == ["in", "out"]
    convert(images, f"oci:{tmp_path}/alone", compress=compress, workers=0)
    blobs = [contents(tmp_path / name / "blobs", hidden=True) for name in ("out", "alone")]
    assert blobs[0] == blobs[1]


def test_of_ten_processes_that_write_one_archive_one_does(tmp_path):
    images = write_images(tmp_path / "in", images=1, layers=2, size=20_000)
    commands = [
        Command(*images, "-o", f"oci-archive:{tmp_path}/out.tar", "--workers", "0")
        for _ in itertools.repeat(None, 10)
    ]
    ended = [command.end() for command in commands]
    assert {code for code, _ in ended} <= {0, 6}
    assert 0 in {code for code, _ in ended}
    others = [error for code, error in ended if code]
    assert [error for error in others if "already" not in error and "exists" not in error] == []
    assert verify(f"oci-archive:{tmp_path}/out.tar", workers=0).ok
    if (tmp_path / "out.tar.ocifast").exists():  # of one that came too late: it may try again
        again = Command(*images, "-o", f"oci-archive:{tmp_path}/out.tar", "--workers", "0")
        assert again.end() == (0, "")
    assert sorted(os.listdir(tmp_path)) == ["in", "out.tar"]
