"""Choice of the kernel: measured by default, demanded by environment, readable always."""

import os
import subprocess
import sys

import pytest

from ocifast._native.sha256_kernel import kernel, kernels, set_kernel
from ocifast.errors import KernelUnavailable

MISSING = [k for k in kernels() if not k.available]
SHOW = "from ocifast._native.sha256_kernel import kernel; k = kernel(); print(k.name, *k.lanes)"
FAIL = """
from ocifast.errors import KernelUnavailable
try:
    import ocifast._native.sha256_kernel
except KernelUnavailable as error:
    print(error)
"""


def run(code, demand=None):
    env = {k: v for k, v in os.environ.items() if k != "OCIFAST_SHA256_KERNEL"}
    if demand is not None:
        env["OCIFAST_SHA256_KERNEL"] = demand
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture(autouse=True)
def _default_afterwards():
    yield
    set_kernel()


def test_kernel_0_is_the_portable_reference_and_always_there():
    first = kernels()[0]
    assert (first.name, first.available, first.reason) == ("portable", True, "")
    assert 1 in first.lanes


def test_every_kernel_has_speeds_or_a_reason():
    for k in kernels():
        assert k.available != bool(k.reason)
        assert bool(k.lanes) == bool(k.mb_per_s) == k.available
        assert all(speed > 0 for speed in k.mb_per_s.values())


def test_a_winning_width_is_faster_than_all_narrower_ones():
    for k in kernels():
        for wide in k.lanes:
            assert all(k.mb_per_s[wide] > k.mb_per_s[w] for w in k.mb_per_s if w < wide)


def test_by_default_the_fastest_kernel_is_in_use():
    best = max((k for k in kernels() if k.available), key=lambda k: max(k.mb_per_s.values()))
    assert set_kernel() == kernel() == best


@pytest.mark.parametrize("k", kernels(), ids=lambda k: k.name)
def test_an_available_kernel_can_be_demanded_by_environment(k):
    if not k.available:
        pytest.skip(f"{k.name}: {k.reason}")
    assert run(SHOW, k.name).startswith(f"{k.name} 1")
    for width in k.mb_per_s:
        lanes = " ".join(str(w) for w in sorted({1, width}))
        assert run(SHOW, f"{k.name}:{width}") == f"{k.name} {lanes}"


@pytest.mark.parametrize("demand", ["", "avx9", "SHANI", "portable ", ":2"])
def test_demanding_an_unknown_kernel_fails_the_import(demand):
    assert "there is no kernel of that name" in run(FAIL, demand)


@pytest.mark.parametrize("demand", ["portable:5", "portable:0", "portable:x", "portable:-1"])
def test_demanding_a_lane_width_that_is_not_built_fails_the_import(demand):
    assert "it has no such lane width (valid here: portable:1" in run(FAIL, demand)


@pytest.mark.parametrize("k", MISSING, ids=lambda k: k.name)
def test_demanding_a_kernel_this_machine_lacks_fails_the_import_with_the_reason(k):
    assert k.reason in run(FAIL, k.name)
    with pytest.raises(KernelUnavailable) as caught:
        set_kernel(k.name)
    assert caught.value.name == k.name
    assert "portable" in caught.value.valid


def test_a_refused_choice_changes_nothing():
    before = set_kernel("portable")
    with pytest.raises(KernelUnavailable):
        set_kernel("avx9")
    with pytest.raises(KernelUnavailable):
        set_kernel("portable", lanes=9)
    assert kernel() == before


def test_importing_costs_a_few_milliseconds():
    code = (
        "import os, ocifast.errors, typing, time; t = time.perf_counter();"
        "import ocifast._native.sha256_kernel; print(time.perf_counter() - t)"
    )
    assert min(float(run(code)) for _ in range(5)) < 0.010
