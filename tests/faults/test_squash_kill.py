"""Squashing is killed, or a call fails: no image shows that is not whole, nothing stays hidden."""

import errno
import itertools
import os
import signal
import traceback

import pytest
from support.converting import left_over, write_source
from support.faults import CHANGING, FAILED, REMOVING, arm, contents, fail, kill
from support.images import make_sample

from ocifast.ops.squash import squash
from ocifast.ops.verify import verify

DESTS = {"oci": "oci:{}/out:app", "docker-archive": "docker-archive:{}/out.tar"}


@pytest.fixture
def source(scratch):
    return write_source(scratch / "in", "oci", make_sample(1, count=3))


def play(source, dest, number, fault) -> int:
    """Squash in a fork with a fault before a call; its exit status."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    status = FAILED + 1
    try:
        arm(number, fault, [*CHANGING, *REMOVING])
        squash(source, dest, from_layer=1, workers=0)
        status = 0
    except OSError:
        status = FAILED
    except BaseException:  # noqa: BLE001 - nothing may reach the test's own frames
        traceback.print_exc()
    finally:
        os._exit(status)


def check_no_lie(top, dest) -> None:
    """What has a name is whole: blobs, and the image if it shows."""
    for name, digest in contents(top, hidden=True).items():
        folder, _, base = name.rpartition("/")
        if folder.endswith("blobs/sha256"):
            assert base == digest, name
    if (top / "out.tar").exists() or (top / "out/oci-layout").exists():
        assert verify(dest.removesuffix(":app"), workers=0).ok


@pytest.mark.usefixtures("no_waiting_for_the_disk")
@pytest.mark.parametrize("to", DESTS)
def test_a_run_killed_before_any_change_to_the_disk_can_be_done_again(to, source, scratch) -> None:
    truth = squash(source, DESTS[to].format(scratch / "truth"), from_layer=1, workers=0).digest
    for number in itertools.count(1, 2):
        top = scratch / str(number)
        top.mkdir()
        dest = DESTS[to].format(top)
        status = play(source, dest, number, kill)
        check_no_lie(top, dest)
        if status == 0:
            break
        assert status == -signal.SIGKILL
        report = squash(source, dest, from_layer=1, overwrite=True, workers=0)
        assert report.digest == truth
        assert left_over(top) == []
    assert number > 15


@pytest.mark.usefixtures("no_waiting_for_the_disk")
@pytest.mark.parametrize("to", DESTS)
def test_a_call_that_fails_leaves_no_image(to, source, scratch) -> None:
    """A call or two can do without: where tars wait may have a name for a moment."""
    failed = 0
    for number in range(1, 70, 3):
        top = scratch / str(number)
        top.mkdir()
        dest = DESTS[to].format(top)
        status = play(source, dest, number, fail(errno.ENOSPC))
        assert status in (0, FAILED)
        failed += status == FAILED
        check_no_lie(top, dest)
    assert failed > 8
