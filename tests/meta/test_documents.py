"""The documents are executed: links resolve, examples run, names are those of the code."""

import doctest
import importlib
import importlib.metadata
import pkgutil
import re
import subprocess
import tarfile
from pathlib import Path

import pytest
from support.images import docker_files, make_sample, write_tar

import ocifast

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "benches").glob("*.md")])
README = (ROOT / "README.md").read_text()
TARGETS = ["dev", "demo", "test", "lint", "types", "bench", "asan", "check", "clean"]


def anchors(document: Path) -> set[str]:
    """Anchors of a document's headings, as they are made when it is shown on the web."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_resolve(document: Path) -> None:
    prose = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose):
        name, _, anchor = target.partition("#")
        other = document.parent / name if name else document
        assert other.exists(), target
        assert not anchor or anchor in anchors(other), target


@pytest.mark.parametrize(("name", "limit"), [("README.md", 150), ("ARCHITECTURE.md", 200)])
def test_documents_stay_short(name: str, limit: int) -> None:
    assert len((ROOT / name).read_text().splitlines()) <= limit


def test_the_version_is_stated_once() -> None:
    assert ocifast.__version__ == importlib.metadata.version("ocifast")
    for path in [ROOT / "pyproject.toml", ROOT / "setup.py", *(ROOT / "ocifast").rglob("*.py")]:
        if path.name != "_version.py":
            assert f'"{ocifast.__version__}"' not in path.read_text(), path


def test_make_alone_lists_its_targets() -> None:
    command = ["make", "-s", "--no-print-directory"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert [line.split()[1] for line in listed.splitlines()] == TARGETS


@pytest.mark.parametrize("part", ["codecs", "formats", "transports"])
def test_the_readme_names_what_is_supported(part: str) -> None:
    table = {path.stem for path in (ROOT / "ocifast" / part).glob("*.py")}
    supported = table & {"gzip", "zstd", "estargz", "zstd_chunked", "layout", "archive"}
    missing = {name for name in supported if name.replace("_", ":") not in README}
    assert not missing


def test_the_exit_codes_of_the_readme_are_those_of_the_errors() -> None:
    rows = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    used = {getattr(ocifast.errors, name).exit_code for name in ocifast.errors.__all__}
    assert used <= rows


def test_the_readme_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    with tarfile.open(tmp_path / "layer.tar.gz", "w:gz") as layer:
        layer.addfile(tarfile.TarInfo("etc/hostname"))
    write_tar(tmp_path / "app.tar", docker_files(make_sample()))
    (tmp_path / "rootfs/etc").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {"__name__": "readme"})


MODULES = [name for _, name, _ in pkgutil.walk_packages(ocifast.__path__, "ocifast.")]


@pytest.mark.parametrize("name", ["ocifast", *MODULES])
def test_docstring_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name.endswith("__main__"):
        pytest.skip("importing it would run it")
    module = importlib.import_module(name)
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0
