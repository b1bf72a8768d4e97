"""What is written is what image-spec's own schemas take."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft4Validator, ValidationError
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4
from support.documents import MINIMAL_CONFIG, descriptor, digest_of, to_bytes

from ocifast.spec import media_type as types
from ocifast.spec.config_conversion import to_oci
from ocifast.spec.descriptor import Descriptor
from ocifast.spec.index import Index
from ocifast.spec.legacy import config_from_v1
from ocifast.spec.manifest import Manifest
from ocifast.spec.manifest_conversion import manifest_for
from ocifast.spec.platform import Platform

SCHEMAS = Path(__file__).parent / "schemas"


def retrieve(uri: str) -> Resource[Any]:
    """A schema by the last part of its address: they refer to each other by file names."""
    name = uri.rpartition("/")[2]
    return Resource.from_contents(json.loads((SCHEMAS / name).read_text()), DRAFT4)


def check(name: str, raw: bytes) -> None:
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    Draft4Validator(schema, registry=Registry(retrieve=retrieve)).validate(json.loads(raw))


FULL = Descriptor(
    types.MANIFEST,
    digest_of(b"{}"),
    2,
    urls=("https://example.com/x",),
    annotations={"a": ""},
    data=b"{}",
    platform=Platform("linux", "arm", "v7", "1", ("f",)),
    artifact_type="a/b",
    extra={"x": 1},
)
CONFIG = descriptor("config", types.CONFIG)


def test_the_schemas_refuse_what_is_wrong() -> None:
    with pytest.raises(ValidationError):
        check("image-manifest-schema", b'{"schemaVersion": 2, "config": {}, "layers": []}')


@pytest.mark.parametrize(
    "given",
    [{}, {"annotations": {"a": "b"}, "subject": FULL, "artifact_type": "a/b", "extra": {"x": 1}}],
)
def test_manifests_and_indexes_validate(given: dict[str, Any]) -> None:
    check("image-manifest-schema", Manifest.build(CONFIG, [descriptor(), FULL], **given).raw)
    check("image-index-schema", Index.build([FULL, CONFIG], **given).raw)
    check("image-index-schema", Index.build([], **given).raw)


@pytest.mark.parametrize("family", ["oci", "docker"])
def test_manifests_of_both_families_validate(family) -> None:
    check("image-manifest-schema", manifest_for(family, CONFIG, [descriptor()]).raw)


BROKEN_CONFIGS = [
    {"rootfs": {"type": "layers"}},
    {"rootfs": {"type": "layers", "diff_ids": None}},
    {
        **dict.fromkeys(("created", "author", "variant", "os.version", "os.features", "history")),
        "config": None,
        "rootfs": {"type": "layers", "diff_ids": [digest_of("x")]},
    },
    {
        **MINIMAL_CONFIG,
        "config": {
            **dict.fromkeys(("User", "Env", "Cmd", "Entrypoint", "Labels", "StopSignal", "Shell")),
            "ExposedPorts": {"80/tcp": None},
            "Volumes": {"/v": None},
            "WorkingDir": None,
            "ArgsEscaped": None,
        },
        "history": [dict.fromkeys(("created", "author", "created_by", "comment", "empty_layer"))],
    },
]


@pytest.mark.parametrize("value", BROKEN_CONFIGS, ids=range(len(BROKEN_CONFIGS)))
def test_configs_that_were_mended_validate(value: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        check("config-schema", to_bytes(value))
    check("config-schema", to_oci(to_bytes(value)))


def test_configs_of_old_images_validate() -> None:
    old = {"id": "1" * 64, "created": "2015-01-01T00:00:00Z", "config": {"Cmd": None}}
    check("config-schema", to_oci(config_from_v1([to_bytes(old)], [digest_of("x")])))
