"""Arguments: usage errors are one line and exit 2, help has examples, the verbs are all there."""

import re
import subprocess
import sys

import pytest

import ocifast as package
from ocifast.cli import VERBS, build_parser
from ocifast.cli.arguments import UsageError, parse_size


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["frobnicate"],
        ["hash", "--frob"],
        ["hash", "--js"],
        ["hash", "--workers", "-1"],
        ["hash", "--workers", "many"],
        ["hash", "--workers", "9999"],
        ["hash", "--memory", "1K", "x"],
        ["hash", "--memory", "-5", "x"],
        ["hash", "--max-ratio", "0"],
        ["hash", "--max-output", "1.5G"],
        ["hash", "--profile", "lax"],
        ["hash", "--json", "--diff-id", "x"],
        ["hash", "-c"],
        ["hash", "-c", "LIST", "layer"],
        ["hash", "-c", "LIST", "--entries"],
        ["hash", "-", "-"],
        ["ls"],
        ["ls", "a", "b"],
        ["doctor", "x"],
        ["\x1b[31m"],
    ],
    ids=" ".join,
)
def test_usage_errors_are_one_line_that_names_the_help(call, layers, arguments) -> None:
    layers.write("LIST", b"")
    done = call(*arguments)
    assert (done.code, done.out) == (2, b"")
    (line,) = done.complaints
    assert re.fullmatch(r"ocifast: .*\(see ocifast ?\w* --help\)", line)
    assert line.isprintable()


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_each_verb_has_examples_and_its_options(call, verb) -> None:
    done = call(verb, "--help")
    assert done.code == 0
    text = done.out.decode()
    assert "examples:\n" in text
    assert f"  ocifast {verb} " in text or verb == "doctor"
    assert "--json" in text
    assert max(map(len, text.splitlines())) <= 100


def test_the_help_names_verbs_and_exit_codes(call) -> None:
    text = call("--help").out.decode()
    for verb, summary in VERBS.items():
        assert re.search(rf"^ +{verb} +{re.escape(summary)}", text, re.MULTILINE)
    assert "exit codes:" in text


def test_the_version_is_that_of_the_package(call) -> None:
    assert call("--version").lines == [f"ocifast {package.__version__}"]


def test_every_verb_can_be_parsed_by_one_parser() -> None:
    parser = build_parser()
    assert parser.parse_args(["ls", "x"]).layer == "x"
    assert parser.parse_args(["hash", "--workers", "3"]).workers == 3
    with pytest.raises(UsageError):
        parser.parse_args(["doctor", "--frob"])


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("7B", 7),
        ("64k", 65536),
        ("1M", 1 << 20),
        ("1MiB", 1 << 20),
        ("1MB", 1_000_000),
        ("3GB", 3 * 10**9),
        ("2T", 2 << 40),
    ],
)
def test_sizes_have_the_suffixes_of_coreutils(text, size) -> None:
    assert parse_size(text) == size


def test_the_command_loads_nothing_it_does_not_need(layers, tmp_path) -> None:
    layers.gzip("l")
    code = (
        "import sys; from ocifast.cli import main; code = main(['hash', 'l'])\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    heavy = {"numpy", "rich", "multiprocessing", "asyncio", "zstandard", "concurrent", "hashlib"}
    assert not heavy & set(done.stderr.split())
