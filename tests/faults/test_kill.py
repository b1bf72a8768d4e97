"""A conversion is killed: nothing unfinished shows, and the same command goes on from there."""

import itertools
import signal

import pytest
from support.faults import CASES, CHANGING, REMOVING, kill

STEPS = {"docker-archive": 3, "overwrite": 3, "each": 2}
"""Of cases that are much like others, not every call is tried."""


@pytest.mark.usefixtures("no_waiting_for_the_disk")
@pytest.mark.parametrize("case", CASES)
def test_a_run_killed_before_any_change_to_the_disk_is_finished_by_the_next(case, play):
    stage = play(case)
    for number in itertools.count(1, STEPS.get(case, 1)):
        stage.fresh()
        status = stage.hit(number, kill, [*CHANGING, *REMOVING])
        if status == 0:
            break
        assert status == -signal.SIGKILL
        stage.check_no_lie()
        stage.check_resumes()
    stage.check_finished()
    assert number > 30
