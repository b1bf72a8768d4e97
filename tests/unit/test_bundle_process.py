"""What runs, and where: what configs say, what is odd in them, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocifast.errors import DocumentError, UnsupportedError
from ocifast.ops.bundle_process import DEFAULT_PATH, RUNTIME_FOLDERS, find_process
from ocifast.spec.config import ContainerConfig

PATH = f"PATH={DEFAULT_PATH}"


def of(args=None, profile="compat", **fields):
    return find_process(ContainerConfig(**({"cmd": ("/app",)} | fields)), args, profile)


# ---- words ----


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "given_args", "expected"),
    [
        (("/e",), ("c",), None, ("/e", "c")),
        (("/e",), (), None, ("/e",)),
        ((), ("c",), None, ("c",)),
        (("/e", "x"), ("c",), ("a", "b"), ("/e", "x", "a", "b")),
        (("/e",), ("c",), (), ("/e",)),
        ((), ("c",), ("a",), ("a",)),
        ((), (), ("a",), ("a",)),
        ((), ("c", "", "-x"), None, ("c", "", "-x")),
    ],
)
def test_entrypoint_and_cmd_are_what_runs_and_words_stand_for_cmd(
    entrypoint, cmd, given_args, expected
) -> None:
    assert of(given_args, entrypoint=entrypoint, cmd=cmd).args == expected


def test_nothing_to_run_is_said_and_not_made_up() -> None:
    for args in (None, ()):
        with pytest.raises(UnsupportedError, match="neither Entrypoint nor Cmd"):
            of(args, cmd=())


@pytest.mark.parametrize("fields", [{"cmd": ("",)}, {"entrypoint": ("", "x")}])
def test_an_empty_name_of_what_runs_is_refused(fields) -> None:
    with pytest.raises(DocumentError, match="is empty"):
        of(**fields)


# ---- environment ----


def test_the_environment_keeps_its_order_and_path_is_added_behind() -> None:
    assert of(env=("B=1", "A=2", "C=")).env_with("") == ["B=1", "A=2", "C=", PATH]


@pytest.mark.parametrize("entry", ["PATH=/x", "PATH="])
def test_a_path_that_is_set_stays(entry) -> None:
    assert of(env=("A=1", entry)).env_with("") == ["A=1", entry]


def test_home_is_added_where_it_is_known_and_not_set() -> None:
    assert of().env_with("/root") == [PATH, "HOME=/root"]
    assert of(env=("HOME=/x", "PATH=")).env_with("/root") == ["HOME=/x", "PATH="]
    assert of().env_with("") == [PATH]


def test_b04_a_name_that_is_set_twice_has_its_last_value_in_its_first_place() -> None:
    found = of(env=("A=1", "B=2", "A=3", "A=4"))
    assert found.env_with("") == ["A=4", "B=2", PATH]
    assert found.findings == (
        "config: config.Env[2]: A is set twice: this value counts",
        "config: config.Env[3]: A is set twice: this value counts",
    )
    with pytest.raises(DocumentError, match=r"config\.Env\[2\]: A is set twice"):
        of(env=("A=1", "B=2", "A=3"), profile="strict")


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("A", "no '='"),
        ("", "no '='"),
        ("=1", "empty or not printable"),
        ("=", "empty or not printable"),
        ("A\nB=1", "empty or not printable"),
        ("\x1b=1", "empty or not printable"),
    ],
)
def test_b04_what_sets_no_name_is_left_out_and_refused_in_strict(entry, reason) -> None:
    found = of(env=("B=1", entry, "C=2"))
    assert found.env_with("") == ["B=1", "C=2", PATH]
    (finding,) = found.findings
    assert finding.startswith("config: config.Env[1]: ")
    assert reason in finding
    with pytest.raises(DocumentError, match=r"config\.Env\[1\]"):
        of(env=("B=1", entry, "C=2"), profile="strict")


def test_b04_oddities_are_counted_when_there_are_too_many_to_tell() -> None:
    found = of(env=("A",) * 1000).findings
    assert len(found) == 101
    assert found[-1] == "config: and 900 more oddities"


@pytest.mark.parametrize("value", ["a\nb", "=", "a=b", "é", " ", "$(x)"])
def test_b04_a_value_is_kept_as_it_is(value) -> None:
    found = of(env=(f"A={value}",), profile="strict")
    assert found.env_with("")[0] == f"A={value}"
    assert found.findings == ()


# ---- folder ----


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "/"),
        ("/", "/"),
        ("//", "/"),
        ("/srv", "/srv"),
        ("/srv/", "/srv"),
        ("//srv//app", "/srv/app"),
        ("/srv/./app/.", "/srv/app"),
        ("/..a/b..", "/..a/b.."),
        ("/proclaim", "/proclaim"),
        ("/srv/proc", "/srv/proc"),
        ("/é\n", "/é\n"),
    ],
)
def test_b03_the_folder_is_absolute_and_clean(text, expected) -> None:
    found = of(working_dir=text, profile="strict")
    assert (found.cwd, found.findings) == (expected, ())


@pytest.mark.parametrize(
    ("text", "expected", "reasons"),
    [
        ("srv", "/srv", 1),
        ("./srv", "/srv", 1),
        (".", "/", 1),
        ("/a/../srv", "/srv", 1),
        ("/../../srv", "/srv", 1),
        ("../../srv", "/srv", 2),
        ("..", "/", 2),
    ],
)
def test_b03_a_folder_that_is_relative_or_leads_up_stays_in_the_root(
    text, expected, reasons
) -> None:
    found = of(working_dir=text)
    assert (found.cwd, len(found.findings)) == (expected, reasons)
    with pytest.raises(DocumentError, match=r"config\.WorkingDir"):
        of(working_dir=text, profile="strict")


@pytest.mark.parametrize(
    "text",
    [
        "/proc/self/fd/7",
        "/proc/self/fd/../fd/7",
        "//proc//self/fd/7/",
        "proc/self/fd/7",
        "/srv/../proc/self/fd/7",
        "/../proc/1/root",
        "/proc",
        "/dev/fd/7",
        "/dev",
        "/sys/fs/cgroup",
    ],
)
@pytest.mark.parametrize("profile", ["strict", "compat"])
def test_b03_a_folder_in_what_the_runtime_mounts_is_refused(text, profile) -> None:
    with pytest.raises(DocumentError, match=r"config\.WorkingDir"):
        of(working_dir=text, profile=profile)


def test_b03_a_folder_that_no_system_has_is_refused() -> None:
    with pytest.raises(DocumentError, match="more than 4095 bytes"):
        of(working_dir="/" + "é/" * 2000)


WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
WAYS = st.lists(st.sampled_from(["..", ".", "", "proc", "self", "dev", "a", "/"]) | WORDS).map(
    "/".join
)
CONFIGS = st.builds(
    ContainerConfig,
    env=st.lists(WORDS | st.tuples(st.sampled_from("AB"), WORDS).map("=".join)).map(tuple),
    entrypoint=st.lists(WORDS, max_size=3).map(tuple),
    cmd=st.lists(WORDS, max_size=3).map(tuple),
    working_dir=WAYS,
)


@given(CONFIGS, st.none() | st.lists(WORDS, max_size=2), st.sampled_from(["strict", "compat"]))
def test_b04_whatever_a_config_says_what_runs_is_sound_or_the_error_says_why(
    config, args, profile
) -> None:
    try:
        found = find_process(config, args, profile)
    except (DocumentError, UnsupportedError):
        return
    assert found.args
    assert found.args[0]
    env = found.env_with("/home")
    names = [entry.partition("=")[0] for entry in env]
    assert all(names)
    assert len(set(names)) == len(names)
    assert {"PATH", "HOME"} <= set(names)
    assert found.cwd.startswith("/")
    assert not {"", ".", ".."} & set(found.cwd[1:].split("/")) or found.cwd == "/"
    assert f"/{found.cwd.split('/')[1]}" not in RUNTIME_FOLDERS
    assert profile == "compat" or not found.findings
