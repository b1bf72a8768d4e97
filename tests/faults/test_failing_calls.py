"""The system refuses a call: an error at once, nothing under a final name, and the run goes on."""

import errno
import itertools

import pytest
from support.faults import CASES, CHANGING, FAILED, SYNCS, fail

pytestmark = pytest.mark.usefixtures("no_waiting_for_the_disk")

STEPS = {"oci": 2, "oci-archive": 3, "docker-archive": 7, "each": 5, "overwrite": 7}
"""Of cases that are much like others, not every call is tried."""


def play_all(stage, calls, number, step):
    tried = 0
    for at in itertools.count(1, step):
        stage.fresh()
        status = stage.hit(at, fail(number), calls)
        if status == 0:
            break
        tried += 1
        assert status == FAILED
        stage.check_no_lie()
        stage.check_nothing_hidden()
        stage.check_resumes()
    stage.check_finished()
    return tried


@pytest.mark.parametrize("case", CASES)
def test_a_call_that_finds_the_disk_full_ends_the_run_and_leaves_nothing_half_written(case, play):
    assert play_all(play(case), CHANGING, errno.ENOSPC, STEPS.get(case, 1)) >= 8


@pytest.mark.parametrize("case", ["oci", "oci-archive", "dir"])
def test_a_sync_that_fails_once_is_final(case, play):
    """Linux forgets what it could not write, and the next sync would succeed."""
    assert play_all(play(case), SYNCS, errno.EIO, 2) >= 8
