"""Skopeo reads all that we write, and we read all that it writes; digests tell whether it is equal.

A copy into a `dir:` is skopeo's own reading of an image: its manifest, config and blobs by digest.
"""

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.images import (
    Files,
    Sample,
    directory_files,
    docker_files,
    layout_files,
    make_sample,
    write_folder,
    write_tar,
)
from support.layers import sha256, zstd

Convert = Callable[..., dict[str, Any]]
Skopeo = Callable[..., str]
NAME = "example.com/team/app:1"
FORMS = {
    "oci": f"oci:form:{NAME}",
    "oci-archive": f"oci-archive:form.tar:{NAME}",
    "docker-archive": f"docker-archive:form.tar:{NAME}",
    "dir": "dir:form",
}


@pytest.fixture
def skopeo(oracle: Callable[[str], str], tmp_path: Path) -> Skopeo:
    def run(*words: str) -> str:
        command = [oracle("skopeo"), "--insecure-policy", "--tmpdir", str(tmp_path), *words]
        done = subprocess.run(command, check=False, capture_output=True, cwd=tmp_path, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def source(tmp_path: Path) -> Sample:
    """An image, in the layout `source` of the test's folder."""
    sample = make_sample(7, count=3)
    write_folder(tmp_path / "source", layout_files(sample))
    return sample


def hexadecimal(descriptor: dict[str, Any]) -> str:
    return str(descriptor["digest"]).removeprefix("sha256:")


def diff_id_of(blob: bytes) -> str:
    if blob[:2] == b"\x1f\x8b":
        import gzip

        return sha256(gzip.decompress(blob))
    return sha256(zstd.decompress(blob) if blob[:4] == b"\x28\xb5\x2f\xfd" else blob)


def check_folder(folder: Path, sample: Sample, *, config: bool = True) -> dict[str, Any]:
    """Hold a `dir:` against the truth; gives its manifest.

    Where skopeo has made an OCI config of a Docker one, `config` is false: its bytes are skopeo's.
    """
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())
    for part in [manifest["config"], *manifest["layers"]]:
        content = (folder / hexadecimal(part)).read_bytes()
        assert len(content) == part["size"]
        assert hashlib.sha256(content).hexdigest() == hexadecimal(part)
    if config:
        assert (folder / hexadecimal(manifest["config"])).read_bytes() == sample.config
    blobs = [(folder / hexadecimal(layer)).read_bytes() for layer in manifest["layers"]]
    assert list(map(diff_id_of, blobs)) == [layer.diff_id for layer in sample.layers]
    return manifest


@pytest.mark.parametrize("compress", ["gzip", "zstd", "none", "keep"])
@pytest.mark.parametrize("form", FORMS)
def test_skopeo_copies_what_we_write(
    convert: Convert, skopeo: Skopeo, source: Sample, tmp_path: Path, form: str, compress: str
) -> None:
    found = convert("oci:source", "-o", FORMS[form], "--compress", compress)
    skopeo("copy", FORMS[form], "dir:copy")
    manifest = check_folder(tmp_path / "copy", source)
    if form != "docker-archive":  # there it is skopeo that makes a manifest
        assert sha256((tmp_path / "copy/manifest.json").read_bytes()) == found["digest"]
        digests = [layer["digest"] for layer in found["layers"]]
        assert [layer["digest"] for layer in manifest["layers"]] == digests


@pytest.mark.parametrize("form", FORMS)
def test_skopeo_inspects_what_we_write(
    convert: Convert, skopeo: Skopeo, source: Sample, form: str
) -> None:
    convert("oci:source", "-o", FORMS[form])
    found = json.loads(skopeo("inspect", FORMS[form]))
    assert (found["Os"], found["Architecture"], found["Env"]) == ("linux", "amd64", ["A=1"])
    assert json.loads(skopeo("inspect", "--config", FORMS[form])) == json.loads(source.config)


THEIRS = [  # what skopeo offers to write
    ("oci", "oci"),
    ("oci-archive", "oci"),
    ("docker-archive", "v2s2"),
    ("dir", "oci"),
    ("dir", "v2s2"),
]


@pytest.mark.parametrize(("form", "manifest"), THEIRS)
def test_nothing_is_wrong_with_what_skopeo_writes(
    ocifast: Callable[..., bytes], skopeo: Skopeo, source: Sample, form: str, manifest: str
) -> None:
    skopeo("copy", "--format", manifest, f"oci:source:{NAME}", FORMS[form])
    ocifast("verify", FORMS[form])


@pytest.mark.parametrize(("form", "manifest"), THEIRS)
def test_we_read_what_skopeo_writes(
    convert: Convert, skopeo: Skopeo, source: Sample, tmp_path: Path, form: str, manifest: str
) -> None:
    skopeo("copy", "--format", manifest, f"oci:source:{NAME}", FORMS[form])
    found = convert(FORMS[form], "-o", f"oci:out:{NAME}")
    diff_ids = [layer.diff_id for layer in source.layers]
    assert [layer["diff_id"] for layer in found["layers"]] == diff_ids
    skopeo("copy", f"oci:out:{NAME}", "dir:copy")
    assert sha256((tmp_path / "copy/manifest.json").read_bytes()) == found["digest"]


@pytest.mark.parametrize("form", ["oci", "oci-archive", "dir"])
def test_a_copy_of_skopeo_keeps_every_digest_through_us(
    convert: Convert, skopeo: Skopeo, source: Sample, tmp_path: Path, form: str
) -> None:
    skopeo("copy", f"oci:source:{NAME}", FORMS[form])
    found = convert(FORMS[form], "-o", f"oci:out:{NAME}", "--compress", "keep")
    assert found["digest"] == sha256(source.manifest)
    skopeo("copy", f"oci:out:{NAME}", "dir:copy")
    assert (tmp_path / "copy/manifest.json").read_bytes() == source.manifest


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_layers_skopeo_compressed_are_kept_or_done_anew(
    convert: Convert, skopeo: Skopeo, source: Sample, tmp_path: Path, codec: str
) -> None:
    write_tar(tmp_path / "in.tar", docker_files(source))
    skopeo("copy", "--dest-compress-format", codec, "docker-archive:in.tar", f"oci:theirs:{NAME}")
    kept = convert("oci:theirs", "-o", f"oci:kept:{NAME}", "--compress", codec)
    anew = convert("oci:theirs", "-o", f"oci:anew:{NAME}", "--compress", codec, "--force")
    assert [layer["how"] for layer in anew["layers"]] == ["compressed"] * 3
    assert all(layer["digest"] == layer["source_digest"] for layer in kept["layers"])
    for layout in ("kept", "anew"):
        skopeo("copy", f"oci:{layout}:{NAME}", f"dir:copy-{layout}")
        check_folder(tmp_path / f"copy-{layout}", source, config=False)


def platforms() -> Iterator[Sample]:
    for seed, machine in enumerate(["amd64", "arm64", "s390x"]):
        yield make_sample(seed, names=(NAME,), platform=("linux", machine))


def test_skopeo_copies_all_platforms_of_an_index_we_wrote(
    convert: Convert, skopeo: Skopeo, tmp_path: Path
) -> None:
    samples = list(platforms())
    write_folder(tmp_path / "source", layout_files(*samples, index=True))
    found = convert("oci:source", "-o", FORMS["oci"], "--compress", "zstd", "--all")
    skopeo("copy", "--all", FORMS["oci"], f"oci:copy:{NAME}")
    (entry,) = json.loads((tmp_path / "copy/index.json").read_bytes())["manifests"]
    assert entry["digest"] == found["digest"]
    for sample in samples:
        machine = sample.platform[1]
        skopeo("--override-arch", machine, "copy", FORMS["oci"], f"dir:{machine}")
        check_folder(tmp_path / machine, sample)


def test_one_platform_is_taken_as_skopeo_takes_it(
    convert: Convert, skopeo: Skopeo, tmp_path: Path
) -> None:
    samples = list(platforms())
    write_folder(tmp_path / "source", layout_files(*samples, index=True))
    for sample in samples:
        machine = sample.platform[1]
        form = f"docker-archive:{machine}.tar:{NAME}"
        convert("oci:source", "-o", form, "--platform", f"linux/{machine}")
        skopeo("copy", form, f"dir:{machine}")
        check_folder(tmp_path / machine, sample)


def test_a_compressed_archive_is_the_same_to_both(
    convert: Convert, skopeo: Skopeo, source: Sample, tmp_path: Path
) -> None:
    """Of zstd: skopeo 1.9.3, as Debian builds it, ends early in every archive that is gzip."""
    write_tar(tmp_path / "in.tar", docker_files(source), codec="zstd")
    convert("docker-archive:in.tar", "-o", "dir:ours", "--compress", "none")
    skopeo("copy", "--dest-decompress", "docker-archive:in.tar", "dir:theirs")
    for folder in ("ours", "theirs"):
        check_folder(tmp_path / folder, source)


def test_a_folder_of_ours_is_one_of_skopeo(
    convert: Convert, skopeo: Skopeo, source: Sample, tmp_path: Path
) -> None:
    convert("oci:source", "-o", "dir:ours", "--compress", "keep")
    skopeo("copy", f"oci:source:{NAME}", "dir:theirs")
    assert folder_contents(tmp_path / "ours") == folder_contents(tmp_path / "theirs")
    assert folder_contents(tmp_path / "ours") == directory_files(source)


def folder_contents(folder: Path) -> Files:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
