"""Images for tests in every form they are kept in, from layers in memory.

A store is first a mapping of names to bytes (`layout_files`, `docker_files`, `directory_files`), so
that a test can break one thing in it, and is then written as a folder (`write_folder`) or as a tar
(`write_tar`). Made with the standard library alone: a mistake here cannot hide one in ocifast.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.layers import Layer, make_layer, sha256, squeeze

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
REF_NAME = "org.opencontainers.image.ref.name"
IMAGE_NAME = "io.containerd.image.name"
DOCKER_VARIANTS = "ABCDEF"


@dataclass(frozen=True)
class Link:
    """A symbolic link in a store; with `hard`, a hard link."""

    target: str
    hard: bool = False


Files = dict[str, "bytes | Link | None"]
"""Contents by name, in order; None is a folder."""


@dataclass(frozen=True)
class Sample:
    """An image and the truth about it."""

    layers: tuple[Layer, ...]
    names: tuple[str, ...] = ()
    platform: tuple[str, str] = ("linux", "amd64")
    runtime: dict[str, Any] = field(default_factory=lambda: {"Cmd": ["/bin/hello"], "Env": ["A=1"]})

    @property
    def config(self) -> bytes:
        value = {
            "created": "2024-01-02T03:04:05Z",
            "architecture": self.platform[1],
            "os": self.platform[0],
            "config": self.runtime,
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in self.layers]},
            "history": [
                {"created": "2024-01-02T03:04:05Z", "created_by": f"COPY {number}"}
                for number in range(len(self.layers))
            ]
            + [{"created_by": "CMD hello", "empty_layer": True}],
        }
        return compact(value)

    @property
    def manifest(self) -> bytes:
        return compact(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": descriptor(self.config, CONFIG),
                "layers": [descriptor(layer.blob, layer.media_type) for layer in self.layers],
            }
        )

    @property
    def image_id(self) -> str:
        return sha256(self.config)

    @property
    def plain(self) -> Sample:
        """The same image with layers that are not compressed."""
        return Sample(tuple(map(plain_layer, self.layers)), self.names, self.platform, self.runtime)


def make_sample(
    seed: int = 0,
    count: int = 2,
    codec: str = "gzip",
    names: tuple[str, ...] = ("example.com/team/app:1",),
    platform: tuple[str, str] = ("linux", "amd64"),
) -> Sample:
    """An image of a few small layers."""
    layers = tuple(make_layer(codec, 100 * seed + number, files=3) for number in range(count))
    return Sample(layers, names, platform)


def plain_layer(layer: Layer) -> Layer:
    tar = plain_tar(layer)
    return layer._replace(
        blob=tar, media_type=layer.media_type.partition("+")[0], digest=layer.diff_id
    )


def plain_tar(layer: Layer) -> bytes:
    """The tar inside a layer."""
    if layer.media_type.endswith("+gzip"):
        import gzip

        return gzip.decompress(layer.blob)
    if layer.media_type.endswith("+zstd"):
        from support.layers import zstd

        return zstd.decompress(layer.blob)
    return layer.blob


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def descriptor(content: bytes, media_type: str, **more: object) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": sha256(content), "size": len(content), **more}


def blob_name(content: bytes) -> str:
    return "blobs/sha256/" + hashlib.sha256(content).hexdigest()


def hexadecimal(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# --- OCI layouts


def layout_files(*samples: Sample, index: bool = False) -> Files:
    """A layout of some images; with `index`, of one index that names them all as platforms."""
    files: Files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": b""}
    files |= {"blobs": None, "blobs/sha256": None}
    for sample in samples:
        files |= blobs_of(sample)
    entries = []
    if index:
        children = [
            descriptor(sample.manifest, MANIFEST, platform=platform_of(sample))
            for sample in samples
        ]
        raw = compact({"schemaVersion": 2, "mediaType": INDEX, "manifests": children})
        files[blob_name(raw)] = raw
        entries = [descriptor(raw, INDEX, annotations={REF_NAME: n}) for n in samples[0].names]
        entries = entries or [descriptor(raw, INDEX)]
    else:
        for sample in samples:
            entries += root_entries(sample)
    files["index.json"] = index_json(entries)
    return files


def blobs_of(sample: Sample) -> Files:
    blobs = [*(layer.blob for layer in sample.layers), sample.config, sample.manifest]
    return {blob_name(blob): blob for blob in blobs}


def platform_of(sample: Sample) -> dict[str, str]:
    return {"architecture": sample.platform[1], "os": sample.platform[0]}


def root_entries(sample: Sample, *, containerd: bool = False) -> list[dict[str, Any]]:
    """What index.json says of an image: an entry for each name."""
    found = []
    for name in sample.names:
        annotations = {REF_NAME: name}
        if containerd:
            annotations = {IMAGE_NAME: name, REF_NAME: name.rpartition(":")[2]}
        found.append(descriptor(sample.manifest, MANIFEST, annotations=annotations))
    return found or [descriptor(sample.manifest, MANIFEST)]


def index_json(entries: list[dict[str, Any]]) -> bytes:
    return compact({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})


# --- docker save


def docker_files(*samples: Sample, variant: str = "B") -> Files:
    """What `docker save` and others write; the letters are those of formats/docker-image.md.

    A before 1.10; B 1.10 to 24; C 25 and later; D containerd's; E skopeo's; F bazel's and crane's.
    """
    return {
        "A": _variant_a,
        "B": _variant_b,
        "C": lambda *given: _hybrid([sample.plain for sample in given]),
        "D": lambda *given: _hybrid(list(given)),
        "E": _variant_e,
        "F": _variant_f,
    }[variant](*samples)


def save_manifest(entries: list[tuple[str, tuple[str, ...], list[str]]]) -> bytes:
    """`manifest.json` of (config, tags, layers)."""
    return compact(
        [
            {"Config": config, "RepoTags": list(tags) or None, "Layers": layers}
            for config, tags, layers in entries
        ]
    )


def repositories(tops: dict[str, str]) -> bytes:
    found: dict[str, dict[str, str]] = {}
    for name, identifier in tops.items():
        repository, _, tag = name.rpartition(":")
        found.setdefault(repository, {})[tag] = identifier
    return compact(found)


def _legacy_folders(sample: Sample) -> tuple[Files, list[str]]:
    """`<id>/{VERSION,json,layer.tar}` of each layer, and the ids from the base up."""
    files: Files = {}
    identifiers: list[str] = []
    for number, layer in enumerate(sample.layers):
        identifier = hexadecimal(f"{identifiers[-1:]}{layer.diff_id}".encode())
        value: dict[str, Any] = {"id": identifier, "created": "2014-05-06T07:08:09Z"}
        if identifiers:
            value["parent"] = identifiers[-1]
        value["container_config"] = {"Cmd": ["/bin/sh", "-c", f"#(nop) COPY {number}"]}
        if number == len(sample.layers) - 1:
            value |= {"config": sample.runtime, "architecture": "amd64", "os": "linux"}
        files |= {
            identifier: None,
            f"{identifier}/VERSION": b"1.0",
            f"{identifier}/json": compact(value),
            f"{identifier}/layer.tar": plain_tar(layer),
        }
        identifiers.append(identifier)
    return files, identifiers


def _variant_a(*samples: Sample) -> Files:
    files: Files = {}
    tops = {}
    for sample in samples:
        folders, identifiers = _legacy_folders(sample)
        files |= folders
        tops |= dict.fromkeys(sample.names, identifiers[-1])
    return {**files, "repositories": repositories(tops)}


def _variant_b(*samples: Sample) -> Files:
    files: Files = {}
    tops, entries = {}, []
    first: dict[str, str] = {}
    for sample in samples:
        folders, identifiers = _legacy_folders(sample)
        for layer, identifier in zip(sample.layers, identifiers, strict=True):
            other = first.setdefault(layer.diff_id, identifier)
            if other != identifier:
                folders[f"{identifier}/layer.tar"] = Link(f"../{other}/layer.tar")
        files |= folders
        config = hexadecimal(sample.config) + ".json"
        files[config] = sample.config
        entries.append((config, sample.names, [f"{name}/layer.tar" for name in identifiers]))
        tops |= dict.fromkeys(sample.names, identifiers[-1])
    return {**files, "manifest.json": save_manifest(entries), "repositories": repositories(tops)}


def _hybrid(samples: list[Sample]) -> Files:
    files: Files = {"blobs": None, "blobs/sha256": None}
    entries, roots, tops = [], [], {}
    for sample in samples:
        files |= blobs_of(sample)
        layers = [blob_name(layer.blob) for layer in sample.layers]
        entries.append((blob_name(sample.config), sample.names, layers))
        roots += root_entries(sample, containerd=True)
        tops |= dict.fromkeys(sample.names, sample.layers[-1].diff_id.removeprefix("sha256:"))
    return {
        **files,
        "index.json": index_json(roots),
        "manifest.json": save_manifest(entries),
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "repositories": repositories(tops),
    }


def _variant_e(*samples: Sample) -> Files:
    files: Files = {}
    entries, tops = [], {}
    for sample in samples:
        folders, identifiers = _legacy_folders(sample)
        names = [f"{layer.diff_id.removeprefix('sha256:')}.tar" for layer in sample.layers]
        for layer, identifier, name in zip(sample.layers, identifiers, names, strict=True):
            files[name] = plain_tar(layer)
            folders[f"{identifier}/layer.tar"] = Link(f"../{name}")
        config = hexadecimal(sample.config) + ".json"
        files |= {**folders, config: sample.config}
        entries.append((config, sample.names, names))
        tops |= dict.fromkeys(sample.names, identifiers[-1])
    return {**files, "manifest.json": save_manifest(entries), "repositories": repositories(tops)}


def _variant_f(*samples: Sample) -> Files:
    files: Files = {"manifest.json": b""}
    entries = []
    for sample in samples:
        names = [f"{hexadecimal(layer.blob)}.tar.gz" for layer in sample.layers]
        files |= {sha256(sample.config): sample.config}
        files |= {name: layer.blob for name, layer in zip(names, sample.layers, strict=True)}
        entries.append((sha256(sample.config), sample.names, names))
    files["manifest.json"] = save_manifest(entries)
    return files


# --- dir:


def directory_files(sample: Sample) -> Files:
    """What skopeo writes to a `dir:`."""
    return {
        "version": b"Directory Transport Version: 1.1\n",
        "manifest.json": sample.manifest,
        hexadecimal(sample.config): sample.config,
        **{hexadecimal(layer.blob): layer.blob for layer in sample.layers},
    }


# --- on disk


def write_folder(path: str | Path, files: Files) -> str:
    """Write a store as a folder, and give its path."""
    root = Path(path)
    root.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        target = root / name
        if content is None:
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Link):
            if content.hard:
                os.link(root / content.target, target)
            else:
                target.symlink_to(content.target)
        else:
            target.write_bytes(content)
    return str(root)


def write_tar(
    path: str | Path,
    files: Files | list[tuple[str, bytes | Link | None]],
    *,
    prefix: str = "",
    codec: str = "plain",
) -> str:
    """Write a store as a tar, and give its path; a list may hold a name twice."""
    Path(path).write_bytes(squeeze(tar_of(files, prefix=prefix), codec))
    return str(path)


def tar_of(files: Files | list[tuple[str, bytes | Link | None]], *, prefix: str = "") -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items() if isinstance(files, dict) else files:
            member = tarfile.TarInfo(prefix + name)
            if content is None:
                member.type = tarfile.DIRTYPE
                tar.addfile(member)
            elif isinstance(content, Link):
                member.type = tarfile.LNKTYPE if content.hard else tarfile.SYMTYPE
                member.linkname = content.target
                tar.addfile(member)
            else:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return target.getvalue()
