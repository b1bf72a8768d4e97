"""runc starts a bundle with no edit, and the image's command sees what its config says."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from support.bundles import ACCOUNTS, compile_witness, sample, special, write_image
from support.canary import IS_ROOT
from support.engine_images import ANSWER, compile_program, make_engine_image

from ocifast.ops.bundle import bundle

SOMEBODY = 12_345
needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root may give files away")
CAPABILITIES = "00000000a80425fb"
"""The fourteen, as the kernel writes them down."""
RANGES = {"uid_map": [(0, 100_000, 65_536)], "gid_map": [(0, 200_000, 65_536)]}


@pytest.fixture(scope="module")
def witness(oracle, tmp_path_factory):
    return compile_witness(oracle("gcc"), tmp_path_factory.mktemp("witness"))


@pytest.fixture
def folder():
    """One that everybody reaches, as root of a user namespace has to."""
    with tempfile.TemporaryDirectory(prefix="ocifast-runc-") as made:
        os.chmod(made, 0o711)
        yield Path(made)


@pytest.fixture
def runc(oracle, folder):
    """Start what is in `folder/out`; gives what it prints. It has to end with `code`."""
    path = oracle("runc")

    def run(*, code=0, **options):
        state = folder / "state"
        state.mkdir(exist_ok=True)
        if "user" in options:
            os.chown(state, options["user"], options["group"])
        done = subprocess.run(
            [path, "--root", state, "run", "-b", folder / "out", f"ocifast-{os.getpid()}"],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            **options,
        )
        assert done.returncode == code, done.stderr
        return done.stdout.splitlines()

    return run


@pytest.fixture
def witnessed(witness, folder, runc):
    """Make a bundle of an image with the witness, and start it; gives what it tells."""

    def run(runtime=None, *, code=0, **options):
        files = ACCOUNTS | {"bin/show": witness}
        image = sample({"Cmd": ["/bin/show"], "Env": ["PATH=/bin"]} | (runtime or {}), files)
        if not IS_ROOT:
            options["rootless"] = True
        bundle(write_image(folder, image), folder / "out", workers=0, replace=True, **options)
        return runc(code=code)

    return run


def who(told):
    """Who it runs as, and the set of its groups, which the kernel puts in order."""
    (line,) = (line for line in told if line.startswith("uid "))
    ids, _, groups = line.partition(" groups")
    return ids, {int(number) for number in groups.split()}


def test_it_prints_what_the_images_command_prints(oracle, folder, runc) -> None:
    program = compile_program(oracle("gcc"), folder)
    layout = write_image(folder, make_engine_image(program))
    bundle(layout, folder / "out", workers=0, rootless=not IS_ROOT)
    assert runc() == ANSWER


def test_words_environment_and_folder_are_those_of_the_image(witnessed) -> None:
    told = witnessed(
        {
            "Entrypoint": ["show", "a b"],
            "Cmd": ["", "-x", "é"],
            "Env": ["PATH=/bin", "A=1\n2", "B=", "A=3"],
            "WorkingDir": "/srv/../made/here",
        }
    )
    words = [line.removeprefix("word ") for line in told if line.startswith("word ")]
    assert words == ["show", "a b", "", "-x", "é"]
    env = [line.removeprefix("env ") for line in told if line.startswith("env ")]
    assert env == ["PATH=/bin", "A=3", "B=", "HOME=/root"]
    assert "folder /made/here" in told
    assert "host ocifast pid 1" in told
    assert "root can be written to" in told


def test_an_exit_code_is_that_of_the_command(witnessed) -> None:
    witnessed(args=["/bin/show", "fail"], code=3)


@needs_root
@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", ("uid 0 gid 0", {0})),
        ("app", ("uid 1000 gid 100", {29, 33, 100})),
        ("app:web", ("uid 1000 gid 33", {33})),
        ("4242", ("uid 4242 gid 0", {0})),
        ("4242:17", ("uid 4242 gid 17", {17})),
    ],
)
def test_b02_it_runs_as_who_the_image_says(witnessed, user, expected) -> None:
    told = witnessed({"User": user})
    assert who(told) == expected


@needs_root
def test_root_has_the_fourteen_capabilities_and_others_none(witnessed) -> None:
    told = witnessed()
    assert f"CapEff:\t{CAPABILITIES}" in told
    assert f"CapBnd:\t{CAPABILITIES}" in told
    assert "NoNewPrivs:\t1" in told
    assert f"CapEff:\t{0:016x}" in witnessed({"User": "app"})


@needs_root
def test_b03_a_folder_reached_by_a_link_is_inside(witness, folder, runc) -> None:
    link = special(b"2", "../../../etc")
    files = ACCOUNTS | {"bin/show": witness, "work": link}
    image = sample({"Cmd": ["/bin/show"], "WorkingDir": "/work"}, files)
    bundle(write_image(folder, image), folder / "out", workers=0)
    assert "folder /etc" in runc()


@needs_root
def test_root_of_a_user_namespace_is_nobody_outside(witnessed, folder) -> None:
    told = witnessed({"User": "app", "WorkingDir": "/made"}, **RANGES)
    assert "folder /made" in told
    assert who(told) == ("uid 1000 gid 100", {29, 33, 100})
    told = witnessed(**RANGES)
    assert "root can be written to" in told
    assert os.stat(folder / "out/rootfs/tmp-of-mine").st_uid == 100_000


def test_rootless_root_is_who_made_the_bundle(witnessed, folder) -> None:
    told = witnessed(rootless=True)
    assert who(told)[0] == "uid 0 gid 0"
    assert "root can be written to" in told
    assert os.stat(folder / "out/rootfs/tmp-of-mine").st_uid == os.geteuid()


def as_somebody(work):
    """Do something in a process that has no privileges; gives its exit code.

    It is forked, as what is installed may be where only root gets to: `work` must not import.
    """
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        os.setgroups([])
        os.setresgid(SOMEBODY, SOMEBODY, SOMEBODY)
        os.setresuid(SOMEBODY, SOMEBODY, SOMEBODY)
        work()
        code = 0
    finally:
        os._exit(code)


@needs_root
def test_somebody_without_privileges_makes_a_bundle_and_starts_it(witness, folder, runc) -> None:
    image = sample({"Cmd": ["/bin/show"]}, ACCOUNTS | {"bin/show": witness})
    layout = write_image(folder, image)
    bundle(layout, folder / "warm", workers=0, rootless=True)
    os.chown(folder, SOMEBODY, SOMEBODY)
    assert as_somebody(lambda: bundle(layout, folder / "out", workers=0, rootless=True)) == 0
    assert os.stat(folder / "out/rootfs/bin/show").st_uid == SOMEBODY
    told = runc(user=SOMEBODY, group=SOMEBODY, extra_groups=[])
    assert who(told)[0] == "uid 0 gid 0"
    assert "NoNewPrivs:\t1" in told
    assert os.stat(folder / "out/rootfs/tmp-of-mine").st_uid == SOMEBODY
