"""Choice of the kernel: measured by default, demanded by environment, readable always."""

import os
import subprocess
import sys

import pytest

from ocifast._native.sha256 import Sha256
from ocifast._native.sha256_kernel import kernel, kernels, set_kernel
from ocifast.errors import KernelUnavailable

AVAILABLE = [k for k in kernels() if k.available]
MISSING = [k for k in kernels() if not k.available]
SHOW = "from ocifast._native.sha256_kernel import kernel; k = kernel(); print(k.name, *k.lanes)"
STATE = Sha256().state()
SEVERAL = """
import ocifast
from ocifast._native.sha256 import Sha256, hash_many
from ocifast._native.sha256_kernel import kernel, kernels, set_kernel
from ocifast.errors import KernelUnavailable

def refusal(use, *arguments):
    try:
        return f"no refusal: {use(*arguments)}"
    except KernelUnavailable as error:
        return str(error)

uses = [
    (kernel,), (set_kernel,), (set_kernel, None, 1), (Sha256,), (Sha256.__new__, Sha256),
    (Sha256.from_state, STATE), (hash_many, []), (hash_many, [b"abc"]), (ocifast.LayerHasher,),
    (ocifast.hash_layer, bytes(1024)),
]
"""
USES = f"STATE = {STATE}\n{SEVERAL}"
FAIL = f"{USES}\nprint(*{{refusal(*use) for use in uses + uses}}, sep='\\n')"


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


@pytest.mark.parametrize("demand", ["", "avx9", "SHANI", "portable ", ":2", "ü", "\udcff"])
def test_a_demand_for_an_unknown_kernel_is_refused_by_every_use_and_not_by_the_import(demand):
    name, valid = demand.partition(":")[0], ", ".join(k.name for k in AVAILABLE)
    (line,) = run(FAIL, demand).splitlines()
    assert line.startswith(f"kernel {name!r} is not available: there is no kernel of that name")
    assert line.endswith(f"(valid here: {valid})")


@pytest.mark.parametrize("width", ["5", "0", "x", "-1", "", "01", "\u00b2", "1:1", "9" * 5000])
def test_a_demand_for_a_lane_width_that_is_not_built_is_refused_by_every_use(width):
    demand = f"portable:{width}"
    (line,) = run(FAIL, demand).splitlines()
    assert line.startswith(f"kernel {demand!r} is not available: it has no such lane width")
    assert line.endswith("(valid here: portable:1)")


@pytest.mark.parametrize("k", MISSING, ids=lambda k: k.name)
def test_a_demand_for_a_kernel_this_machine_lacks_is_refused_with_the_reason(k):
    (line,) = run(FAIL, k.name).splitlines()
    assert k.reason in line
    with pytest.raises(KernelUnavailable) as caught:
        set_kernel(k.name)
    assert caught.value.name == k.name
    assert "portable" in caught.value.valid


def test_kernels_are_listed_while_a_demand_is_unmet():
    assert run(f"{USES}\nprint(*[k.name for k in kernels()])", "avx9").split() == [
        k.name for k in kernels()
    ]


def test_naming_a_kernel_lifts_an_unmet_demand_and_a_refused_name_does_not():
    code = f"""{USES}
assert "no kernel of that name" in refusal(set_kernel, "avx10")
assert "avx9" in refusal(Sha256)
assert set_kernel("portable").name == kernel().name == "portable"
print(Sha256(b"abc").hexdigest()[:8], set_kernel().name)"""
    assert run(code, "avx9") == f"ba7816bf {set_kernel().name}"


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
