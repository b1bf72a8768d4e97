"""The plan: pure functions of sizes and counts."""

import os

import pytest

from ocifast.engine.plan import (
    CAPACITY,
    MAX_WORKERS,
    MIN_SLOTS_PER_WORKER,
    SLOT_BYTES,
    Job,
    available_workers,
    cpu_quota,
    in_order,
    sizing,
)

MIB = 1 << 20


def job(index, cost, weight=1):
    return Job(index, "task", {}, lambda: 0, cost, weight)


@pytest.mark.parametrize("workers", [0, 1, 2, 8, 64, 65, 200, MAX_WORKERS])
def test_every_number_of_workers_gets_slots_for_all_their_tasks(workers):
    plan = sizing(workers)
    # a decoder holds one slot while it waits for another
    assert plan.slots > max(workers, 1)
    assert plan.slots <= 1024


@pytest.mark.parametrize("workers", [1, 2, 8, 200])
def test_memory_is_a_cap_and_too_little_is_refused(workers):
    least = min(workers * MIN_SLOTS_PER_WORKER, 1024) * SLOT_BYTES
    assert sizing(workers, least).slots * SLOT_BYTES <= least
    assert sizing(workers, 10 * least + 5).slots * SLOT_BYTES <= 10 * least + 5
    for memory in (least - 1, 0, -1, -(1 << 40)):
        with pytest.raises(ValueError, match=f"at least {least} bytes"):
            sizing(workers, memory)


def test_any_amount_of_memory_is_accepted_as_a_cap():
    assert sizing(2, 1 << 60).slots == 1024


def test_too_many_workers_are_refused_before_anything_starts():
    with pytest.raises(ValueError, match="more than the 256"):
        sizing(MAX_WORKERS + 1)


def test_the_longest_job_comes_first_and_ties_keep_their_order():
    jobs = [job(0, 5), job(1, 9), job(2, 5), job(3, 1), job(4, 9)]
    assert [each.index for each in in_order(jobs, 2)] == [1, 4, 0, 2, 3]


def test_ordering_drops_and_invents_no_job():
    assert in_order([], 2) == []
    jobs = [job(i, i % 7, weight=1 + i % 4) for i in range(50)]
    ordered = in_order(jobs, 3)
    assert sorted(each.index for each in ordered) == list(range(50))
    for each in ordered:
        assert jobs[each.index].weight <= each.weight <= CAPACITY


def test_a_job_that_is_all_there_is_gets_a_worker_of_its_own():
    assert in_order([job(0, 100)], 1)[0].weight == CAPACITY
    assert in_order([job(0, 0), job(1, 0)], 2)[0].weight == 1


@pytest.mark.parametrize(
    ("content", "cores"),
    [
        ("max 100000\n", float("inf")),
        ("150000 100000\n", 1.5),
        ("50000 100000\n", 0.5),
        ("", float("inf")),
        ("nonsense", float("inf")),
        ("1 2 3", float("inf")),
    ],
)
def test_the_quota_of_the_control_group_is_read(tmp_path, content, cores):
    (tmp_path / "cpu.max").write_text(content)
    assert cpu_quota(str(tmp_path / "cpu.max")) == cores
    assert cpu_quota(str(tmp_path / "missing")) == float("inf")


def test_there_is_always_a_worker_and_never_more_than_cores(monkeypatch):
    assert 1 <= available_workers() <= len(os.sched_getaffinity(0))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(5000)))
    assert available_workers() <= MAX_WORKERS
    monkeypatch.setattr("ocifast.engine.plan.cpu_quota", lambda: 0.2)
    assert available_workers() == 1
