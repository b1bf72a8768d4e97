"""The journal of a run: facts survive whatever a crash does to the file, and nothing else does."""

import fcntl
import json
import os
import random
import signal
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
from support.processes import nothing_left

from ocifast.errors import StoreError
from ocifast.ops import journal as module
from ocifast.ops.finished_output import FinishedOutput
from ocifast.ops.journal import Fact, Journal


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def a_fact(number: int = 1, recipe: str = "none/1") -> Fact:
    return Fact(
        key=digest(number),
        recipe=recipe,
        digest=digest(number + 1),
        size=10 * number,
        media_type="application/vnd.oci.image.layer.v1.tar",
        diff_id=digest(number),
        uncompressed_size=20 * number,
        source_digest=digest(number + 2),
        source_size=5,
        source_diff_id=digest(number),
        annotations={"toc": digest(number + 3)},
    )


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "journal")


def write(path, *facts):
    """A journal that a run which did not end well has left."""
    journal = Journal(path).__enter__()
    for fact in facts:
        journal.add(fact)
    journal.close(keep=True)


def known(path, count=50):
    with Journal(path) as journal:
        found = {n for n in range(count) if journal.find(digest(n), "none/1")}
        journal.close(keep=True)
    return found


def line_of(**changes):
    values = {**asdict(a_fact(7)), **changes}
    return json.dumps({"schema": module.SCHEMA, "layer": values}).encode()


# ---- what is found again ----


def test_facts_and_outputs_are_found_by_the_next_run(path):
    with nothing_left():
        write(path, a_fact(1), a_fact(2, "gzip"))
        journal = Journal(path).__enter__()
        finished = FinishedOutput("/some/\udcff.tar", digest(9), "request", "1:2:3:4")
        journal.add_output(finished)
        journal.close(keep=True)
        with Journal(path) as journal:
            assert journal.find(digest(1), "none/1") == a_fact(1)
            assert journal.find(digest(2), "gzip") == a_fact(2, "gzip")
            assert journal.find(digest(2), "none/1") is None
            assert journal.outputs == {finished.output: finished}


def test_a_fact_is_known_at_once_in_the_run_that_states_it(path):
    with Journal(path) as journal:
        journal.add(a_fact())
        assert journal.find(digest(1), "none/1") == a_fact()


def test_of_two_facts_about_one_layer_the_later_one_counts(path):
    write(path, a_fact(1), replace(a_fact(1), size=99))
    with Journal(path) as journal:
        assert journal.find(digest(1), "none/1").size == 99


def test_it_is_removed_when_a_run_ends_well_and_kept_when_it_fails(path):
    with Journal(path):
        assert os.path.exists(path)
    assert not os.path.exists(path)
    write(path, a_fact())
    with pytest.raises(ZeroDivisionError), Journal(path):
        raise ZeroDivisionError
    assert os.path.exists(path)


def test_one_that_says_nothing_is_removed_even_when_the_run_fails(path):
    with pytest.raises(ZeroDivisionError), Journal(path):
        raise ZeroDivisionError
    assert not os.path.exists(path)


def test_closing_twice_is_fine(path):
    write(path, a_fact())
    with nothing_left(), Journal(path) as journal:
        journal.close(keep=True)
        journal.close(keep=False)
    assert os.path.exists(path)


# ---- damage ----


def test_a_line_cut_at_any_byte_takes_nothing_from_the_others(path):
    write(path, a_fact(1), a_fact(2))
    with open(path, "rb") as file:
        whole = file.read()
    second = whole.index(b"\n", 2) + 1
    for end in range(second, len(whole) - 1, 7):
        with open(path, "wb") as file:
            file.write(whole[:end])
        assert known(path) == ({1} if end < len(whole) - 1 else {1, 2})
        write(path, a_fact(3))  # behind half a line
        assert known(path) == {1, 3}


@pytest.mark.parametrize("seed", range(20))
def test_a_journal_with_damaged_bytes_never_fails(path, seed):
    write(path, *map(a_fact, range(1, 6)))
    rng = random.Random(seed)
    with open(path, "rb") as file:
        data = bytearray(file.read())
    for _ in range(rng.choice([1, 3, 40])):
        data[rng.randrange(len(data))] = rng.randrange(256)
    with open(path, "wb") as file:
        file.write(data)
    assert known(path) <= {1, 2, 3, 4, 5} | set(range(50))
    write(path, a_fact(6))
    assert 6 in known(path)


GARBAGE = {
    "zeros": bytes(3000),
    "noise": random.Random(1).randbytes(3000),
    "other": b'{"schema": "ocifast.journal/2", "layer": {}}',
    "list": b"[1, 2]",
    "nested": b"[" * 50_000,
    "number": b"9" * 10_000,
    "text": b"\xff\xfe{\0}\0",
    "no fields": b'{"schema": "ocifast.journal/1", "layer": {}}',
    "no values": b'{"schema": "ocifast.journal/1", "layer": null}',
    "more fields": line_of(more=1),
    "key": line_of(key=[1]),
    "digest": line_of(digest="../../etc/passwd"),
    "no digest": line_of(digest=5),
    "source": line_of(source_digest=None),
    "size": line_of(size="10"),
    "negative": line_of(size=-1),
    "truth": line_of(source_size=True),
    "fraction": line_of(uncompressed_size=1.5),
    "media type": line_of(media_type=None),
    "annotation": line_of(annotations={"toc": 5}),
    "annotations": line_of(annotations=None),
    "output": b'{"schema": "ocifast.journal/1", "finished": {"output": "/a", "digest": "latest", '
    b'"request": "", "identity": ""}}',
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_what_is_no_fact_is_passed_over(path, garbage):
    write(path, a_fact(1))
    with open(path, "ab") as file:
        file.write(b"\n" + garbage + b"\n")
    write(path, a_fact(2))
    assert known(path) == {1, 2}
    with Journal(path) as journal:
        assert journal.outputs == {}


def test_the_garbage_is_refused_for_its_one_fault(path):
    with open(path, "wb") as file:
        file.write(line_of())
    assert known(path) == {7}


def test_an_oversize_journal_is_read_as_far_as_its_cap(path, monkeypatch):
    write(path, *map(a_fact, range(1, 9)))
    monkeypatch.setattr(module, "JOURNAL_BYTES", os.path.getsize(path) // 2)
    found = known(path)
    assert found
    assert found == set(range(1, max(found) + 1))
    assert max(found) < 8


def test_a_line_without_end_is_not_held_in_memory(path):
    write(path, a_fact(1))
    with open(path, "ab") as file:
        file.truncate(module.JOURNAL_BYTES * 2)  # a hole
    script = (
        "import sys; from ocifast.ops.journal import Journal\n"
        "j = Journal(sys.argv[1]).__enter__(); assert j.find(sys.argv[2], 'none/1')\n"
        "print(next(l.split()[1] for l in open('/proc/self/status') if l.startswith('VmHWM')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, path, digest(1)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 100 << 10


# ---- what stands at its path ----


def test_a_symlink_in_its_place_is_not_followed(path, tmp_path):
    (tmp_path / "precious").write_text("text")
    os.symlink(tmp_path / "precious", path)
    with nothing_left(), pytest.raises(OSError, match="symbolic links"), Journal(path):
        pass
    assert (tmp_path / "precious").read_text() == "text"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_refused_and_does_not_hang(path, make):
    make(path)
    with nothing_left(), pytest.raises((StoreError, IsADirectoryError)), Journal(path):
        pass
    assert os.path.exists(path)


def test_a_folder_that_another_run_removes_meanwhile_is_made_again(tmp_path, monkeypatch):
    real, calls = os.open, []

    def removed_first(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 1:
            os.rmdir(tmp_path / "beside")
        return real(*arguments, **options)

    monkeypatch.setattr(module.os, "open", removed_first)
    with nothing_left(), Journal(str(tmp_path / "beside" / "journal")) as journal:
        journal.add(a_fact(1))
    assert len(calls) == 2


def test_what_is_cleared_with_it_is_cleared_while_nobody_else_can_begin(path):
    with Journal(path) as journal, open(path) as other:
        seen = []

        def clear():
            with pytest.raises(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
            seen.append(os.path.exists(path))

        journal.close(keep=False, clear=clear)
    assert (seen, os.path.exists(path)) == ([True], False)


# ---- several runs ----


def test_the_first_run_that_ends_leaves_it_to_the_other(path):
    with nothing_left():
        first, second = Journal(path).__enter__(), Journal(path).__enter__()
        first.add(a_fact(1))
        first.close(keep=False)
        assert os.path.exists(path)
        second.add(a_fact(2))
        assert known(path) == {1, 2}
        second.close(keep=False)
        assert not os.path.exists(path)


def test_a_run_that_waited_for_a_removal_begins_a_new_journal(path, monkeypatch):
    write(path, a_fact(1))
    real = fcntl.flock

    def removed_meanwhile(descriptor, operation):
        real(descriptor, operation)
        if operation == fcntl.LOCK_SH:
            monkeypatch.setattr(fcntl, "flock", real)
            os.unlink(path)

    monkeypatch.setattr(fcntl, "flock", removed_meanwhile)
    with nothing_left():
        with Journal(path) as journal:
            assert journal.find(digest(1), "none/1") is None
            assert os.path.exists(path)
        assert not os.path.exists(path)


def appending(path, first, count):
    """A process that states so many facts, and says when it has stated the first."""
    script = (
        "import sys\n"
        "from dataclasses import replace\n"
        "from ocifast.ops.journal import Fact, Journal\n"
        "path, first, count, fields = sys.argv[1:]\n"
        "first, count = int(first), int(count)\n"
        "import json\n"
        "fact = Fact(**json.loads(fields))\n"
        "journal = Journal(path).__enter__()\n"
        "for number in range(first, first + count):\n"
        "    journal.add(replace(fact, key=f'sha256:{number:064x}'))\n"
        "    if number == first: print(flush=True)\n"
        "journal.close(keep=True)\n"
    )
    fields = json.dumps(asdict(a_fact()))
    argv = [sys.executable, "-c", script, path, str(first), str(count), fields]
    return subprocess.Popen(argv, stdout=subprocess.PIPE)


def test_lines_of_several_processes_do_not_mix(path):
    processes = [appending(path, 100 * number, 60) for number in range(4)]
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    expected = {100 * number + n for number in range(4) for n in range(60)}
    assert known(path, 500) == expected


@pytest.mark.parametrize("round_", range(3))
def test_a_process_killed_while_it_appends_loses_no_fact_it_has_stated(path, round_):
    process = appending(path, 1, 1_000_000)
    process.stdout.readline()
    write(path, a_fact(0))
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    found = known(path, 100_000)
    assert {0, 1} <= found
    assert found == set(range(max(found) + 1))
    with Journal(path):  # its lock is gone with it
        pass
    assert not os.path.exists(path)
