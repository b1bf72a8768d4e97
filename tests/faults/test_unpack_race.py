"""P17: while layers are unpacked, somebody swaps folders for links to what is outside.

The attacker is a process of its own that may do what the owner of the folder around may do. It
swaps in one step (RENAME_EXCHANGE), so that there is always something under each name: the staging
folder, folders and files in it, those of the destination. Unpacking may fail. What it must not do
is to write, to change metadata or to remove anything outside.
"""

import ctypes
import itertools
import mmap
import os
import random
import signal
import struct
import tempfile
import time
import traceback
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from support.canary import IS_ROOT, Canary
from support.hostile import Ground, layer
from support.merging import files, hard, link
from support.tables import entry

from ocifast import OcifastError, unpack

EXCHANGE = 2
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
SWAPS, SECONDS = 50_000, 240
"""So many swaps take two seconds; once a minute was too short, and nothing said why."""
MEMORY = "/dev/shm"
renameat2 = ctypes.CDLL(None, use_errno=True).renameat2


class Attacker:
    """Swaps what is in `work` for links to what is in `victim`, until it is told to stop.

    It works by descriptors, as its own links would lead it to the victim too.
    """

    def __init__(self, work, victim, aside):
        self._work, self._victim = os.open(work, FOLDER), os.fsencode(victim)
        self._aside = os.open(aside, FOLDER)
        self._shared = mmap.mmap(-1, mmap.PAGESIZE)
        self._numbers = itertools.count()

    def close(self):
        os.close(self._work)
        os.close(self._aside)

    @property
    def swaps(self):
        """How many there were that succeeded."""
        return struct.unpack_from("Q", self._shared)[0]

    @contextmanager
    def at_work(self):
        pid = os.fork()
        if pid == 0:
            try:
                self._go_on()
            except BaseException:  # noqa: BLE001 - nothing may reach the test's own frames
                traceback.print_exc()
            finally:
                os._exit(1)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGKILL)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert status == -signal.SIGKILL, "the attacker has died"

    def _go_on(self):
        done, chance = self.swaps, random.Random(os.getpid())
        while True:
            with ExitStack() as stack:
                targets = list(below(self._work, 6, stack))
                for folder, name in chance.sample(targets, min(len(targets), 8)):
                    link = self._link(name)
                    # mostly there and back again, so that much of it comes to its end
                    times = chance.choice([2, 2, 20, 20, 60, 21])
                    done += sum(self._swap(folder, name, link) for _ in range(times))
                    struct.pack_into("Q", self._shared, 0, done)

    def _swap(self, folder, name, link):
        return renameat2(folder, name, self._aside, link, EXCHANGE) == 0

    def _link(self, name):
        """A new link to what has the same name outside, or to a folder there."""
        link = b"%d-%d" % (os.getpid(), next(self._numbers))
        inner = {b"deep": b"sub/deep"}.get(name, name if name in {b"sub", b"secret"} else b"")
        os.symlink(os.path.join(self._victim, inner), link, dir_fd=self._aside)
        return link


def below(top, levels, stack):
    """All names with the descriptors of their folders, so many levels down; no link is followed."""
    with suppress(OSError):
        for name in map(os.fsencode, os.listdir(top)):
            yield top, name
            with suppress(OSError):
                folder = os.open(name, FOLDER, dir_fd=top)
                stack.callback(os.close, folder)
                if levels:
                    yield from below(folder, levels - 1, stack)


def folder_of_victims(at):
    """What would do harm if `at` led outside."""
    evil = {"mode": 0o7777, "mtime_ns": 1, "xattrs": ((b"user.evil", b"1"),)}
    parts = [entry(f"{at}{name}", **evil) for name in ("sub/", "sub/deep/", "empty/")]
    parts += [entry(f"{at}{name}", size=3, **evil) for name in ("secret", "tool", "sub/name")]
    parts += [link(f"{at}sub/deep/l", "../../secret"), hard(f"{at}sub/twin", f"{at}secret")]
    return [*parts, *files(*(f"{at}sub/deep/{number}" for number in range(4)))]


BELOW = [*files("secret"), *(part for n in range(12) for part in folder_of_victims(f"{n}/"))]
ABOVE = [*folder_of_victims("0/"), *files("1/.wh.sub", "2/.wh..wh..opq", "3/sub/.wh.deep", "4")]
MODES = {
    "new": ([BELOW, ABOVE], {}),
    "replaced": ([BELOW], {"replace": True}),
    "kept": ([BELOW, ABOVE], {"keep": True}),
}


@pytest.fixture
def ground():
    where = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=where) as folder:
        yield Ground(Path(folder))


def clear(ground, number):
    """Put away what is in the folder around, whatever it has become."""
    for name in os.listdir(ground.work):
        os.rename(ground.work / name, ground.aside / f"old-{number}-{name}")


@pytest.mark.parametrize("mode", MODES)
def test_p17_swapping_folders_for_links_gets_nothing_written_outside(mode, ground, request) -> None:
    canary = Canary(ground.victim)
    attacker = Attacker(ground.work, ground.victim, ground.aside)
    request.addfinalizer(attacker.close)
    layers, options = MODES[mode]
    sources = [layer(*parts) for parts in layers]
    ended, deadline = {True: 0, False: 0}, time.monotonic() + SECONDS
    for number in itertools.count():
        clear(ground, number)
        if options:
            unpack(sources[:1], ground.dest, workers=0, rootless=not IS_ROOT)
        with attacker.at_work():
            for _ in range(10):
                try:
                    unpack(sources, ground.dest, workers=0, rootless=not IS_ROOT, **options)
                    ended[True] += 1
                except (OcifastError, OSError):
                    ended[False] += 1
                canary.check()
        if attacker.swaps >= SWAPS or time.monotonic() > deadline:
            break
    canary.check()
    assert attacker.swaps >= SWAPS, f"in {number + 1} rounds, which ended well or not: {ended}"
    assert ended[False] > 0, "nobody was disturbed"
