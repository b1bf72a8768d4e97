"""`ocifast doctor`: it finds what is there, measures it, and knows what is wrong."""

import json

import pytest

from ocifast.codecs import CODECS
from ocifast.codecs.recipe import RECIPES, SEEKABLE, recipe
from ocifast.errors import WorkerError
from ocifast.ops import doctor

KEYS = [
    *("schema", "version", "machine", "packages", "kernel", "kernels", "codecs", "recipes"),
    *("workers", "start", "speeds", "problems"),
]


def test_json_has_exactly_the_promised_keys(ocifast) -> None:
    done = ocifast("doctor", "--json", "--workers", "1")
    found = json.loads(done.out)
    assert (done.code, done.err) == (0, "")
    assert list(found) == KEYS
    assert found["schema"] == "ocifast.doctor/1"
    assert found["workers"] == 1
    assert [row["name"] for row in found["codecs"]] == list(CODECS)
    assert [row["name"] for row in found["recipes"]] == [
        scheme.name for scheme in (*RECIPES, *SEEKABLE)
    ]
    assert found["recipes"][0]["identity"] == recipe("gzip").identity
    assert found["kernel"] in [row["name"] for row in found["kernels"] if row["available"]]
    assert found["speeds"]["layers_mb_per_s"] > 0
    assert found["speeds"]["wrong"] == []


def test_the_page_is_printable_and_names_the_kernel_in_use(ocifast) -> None:
    done = ocifast("doctor", "--workers", "0")
    assert (done.code, done.err) == (0, "")
    assert all(line.isprintable() for line in done.lines)
    assert sum(line.startswith("* ") for line in done.lines) == 1


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch):
    """A self-test that finds what it is told to, without a second of work."""

    def pretend(result):
        def run_self_test(engine):
            if isinstance(result, Exception):
                raise result
            return doctor.SelfTest(1.0, 1.0, None, None, 1.0, result)

        monkeypatch.setattr(doctor, "run_self_test", run_self_test)

    return pretend


def test_a_wrong_result_is_broken_and_exits_with_1(call, quick) -> None:
    quick(("gzip gives other bytes than went in",))
    done = call("doctor")
    assert done.code == 1
    assert "BROKEN: gzip gives other bytes than went in" in done.lines


def test_workers_that_cannot_be_had_are_broken(call, quick) -> None:
    quick(WorkerError("cannot start workers"))
    done = call("doctor", "--json")
    assert done.code == 1
    found = json.loads(done.out)
    assert found["speeds"] is None
    assert found["problems"][-1]["broken"] is True


def test_a_missing_module_is_a_problem_with_advice(call, quick, monkeypatch) -> None:
    quick(())
    real = doctor.open_decoder

    def open_decoder(name: str):
        if name == "zstd":
            raise doctor.KernelUnavailable("zstandard", "not installed", "zstandard")
        return real(name, backend="zlib" if name == "gzip" else None)

    monkeypatch.setattr(doctor, "open_decoder", open_decoder)
    done = call("doctor")
    assert done.code == 0
    assert "slow: gzip layers are read with zlib" in done.lines
    assert "slow: zstd layers cannot be read: no module for it" in done.lines
    assert any("pip install isal" in line for line in done.lines)
