"""Configs of both families: one view, bytes kept, layers counted (row J10)."""

import json
from typing import Any

import pytest
from support.documents import MINIMAL_CONFIG, digest_of, to_bytes

from ocifast.errors import DocumentError, UnsupportedError
from ocifast.spec.config import ContainerConfig, History, ImageConfig, chain_ids, check_layers
from ocifast.spec.digest import Digest

A = "sha256:c6f988f4874bb0add23a778f753c65efe992244e148a1d2ec2a8b664fb66bbd1"
B = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
AB = "sha256:c3191d32a37d7159b2e30830937d2e30268ad6c375a773a8994911a3aba9b93f"
ABB = "sha256:b3f2677e2ce27278b9d7cab94db2e384b4bc04278000f97c62830f0707f3a865"


def parse(**changes: object) -> ImageConfig:
    return ImageConfig.parse(to_bytes({**MINIMAL_CONFIG, **changes}), document="config")


def refused(**changes: object) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        parse(**changes)
    return caught.value


def rootfs(*diff_ids: str) -> dict[str, Any]:
    return {"type": "layers", "diff_ids": list(diff_ids)}


def test_a_full_config_is_read() -> None:
    raw = json.dumps(
        {
            **MINIMAL_CONFIG,
            "variant": "v2",
            "os.version": "1",
            "os.features": ["f"],
            "created": "2020-01-02T03:04:05Z",
            "author": "A",
            "config": {
                "User": "0:0",
                "Env": ["A=b"],
                "Entrypoint": ["/e"],
                "Cmd": ["c", "d"],
                "WorkingDir": "/w",
                "ExposedPorts": {"80/tcp": {}},
                "Volumes": {"/v": {}},
                "Labels": {"l": "m", "L": "n"},
                "StopSignal": "SIGTERM",
                "Healthcheck": {"Test": ["NONE"]},
            },
            "rootfs": rootfs(A),
            "history": [{"created_by": "x"}, {"empty_layer": True, "comment": "y", "Z": 1}],
            "docker_version": "20",
        },
        indent=1,
    ).encode()
    found = ImageConfig.parse(raw, document="config")
    assert found.runtime == ContainerConfig(
        user="0:0",
        env=("A=b",),
        entrypoint=("/e",),
        cmd=("c", "d"),
        working_dir="/w",
        exposed_ports=("80/tcp",),
        volumes=("/v",),
        labels={"l": "m", "L": "n"},
        stop_signal="SIGTERM",
        extra={"Healthcheck": {"Test": ["NONE"]}},
    )
    assert found.history == (
        History(created_by="x"),
        History(comment="y", empty_layer=True),
    )
    assert (found.raw, found.image_id) == (raw, digest_of(raw))
    assert (str(found.platform), found.platform.os_version) == ("linux/amd64/v2", "1")
    assert (found.created, found.author, found.diff_ids) == ("2020-01-02T03:04:05Z", "A", (A,))
    assert found.extra == {"docker_version": "20"}


def test_null_is_absent_as_docker_writes_it() -> None:
    nulls = dict.fromkeys(("Cmd", "Entrypoint", "Volumes", "Labels", "Env", "ExposedPorts", "User"))
    found = parse(config={**nulls, "OnBuild": None}, history=None, created=None, author=None)
    assert found.runtime == ContainerConfig(extra={"OnBuild": None})
    assert (found.history, found.created) == ((), "")
    assert parse(config=None) == parse(config=None)
    assert parse(config=None).runtime == ContainerConfig()


def test_docker_leaves_diff_ids_out_when_there_are_none() -> None:
    assert parse(rootfs={"type": "layers"}).diff_ids == ()
    assert parse(rootfs={"type": "layers", "diff_ids": None}).diff_ids == ()


@pytest.mark.parametrize("kind", ["layers+base", "", "Layers", None, 1])
def test_a_rootfs_that_is_not_made_of_layers_is_refused(kind: object) -> None:
    assert refused(rootfs={"type": kind, "diff_ids": []}).where == "rootfs.type"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"rootfs": None}, "rootfs"),
        ({"rootfs": {"type": "layers", "diff_ids": "x"}}, "rootfs.diff_ids"),
        ({"rootfs": rootfs("sha256:../x")}, "rootfs.diff_ids[0]"),
        ({"rootfs": {"type": "layers", "diff_ids": [A, 1]}}, "rootfs.diff_ids[1]"),
        ({"config": []}, "config"),
        ({"config": {"Env": ["a", 1]}}, "config.Env"),
        ({"config": {"Cmd": "sh"}}, "config.Cmd"),
        ({"config": {"Labels": {"a": 1}}}, "config.Labels"),
        ({"config": {"Volumes": ["/v"]}}, "config.Volumes"),
        ({"history": {}}, "history"),
        ({"history": [{}, {"empty_layer": "true"}]}, "history[1].empty_layer"),
        ({"history": [None]}, "history[0]"),
        ({"os": 1}, "os"),
    ],
)
def test_an_error_says_where_it_is(change: dict[str, Any], where: str) -> None:
    assert refused(**change).where == where


@pytest.mark.parametrize(
    "change",
    [
        {"RootFS": {}},
        {"Config": {}},
        {"OS": "linux"},
        {"config": {"cmd": []}},
        {"rootfs": {**rootfs(), "Diff_Ids": [A]}},
        {"history": [{"Empty_Layer": True}]},
    ],
)
def test_j02_a_known_key_in_another_case_is_refused(change: dict[str, Any]) -> None:
    assert "must be spelt" in refused(**change).reason


def test_j02_keys_of_free_maps_may_differ_in_case() -> None:
    assert parse(config={"Labels": {"User": "a", "user": "b"}}).runtime.labels["user"] == "b"


def test_j04_a_config_has_at_most_1024_layers() -> None:
    assert len(parse(rootfs=rootfs(*[A] * 1024)).diff_ids) == 1024
    assert "at most 1024" in refused(rootfs=rootfs(*[A] * 1025)).reason


def test_j07_a_diff_id_of_an_unknown_algorithm_is_unsupported() -> None:
    with pytest.raises(UnsupportedError, match=r"rootfs\.diff_ids\[0\]"):
        parse(rootfs=rootfs("md5:00"))


def test_j10_layers_and_diff_ids_are_as_many() -> None:
    config = parse(rootfs=rootfs(A, B))
    assert check_layers(config, 2, document="config", profile="strict") == ()
    for profile in ("strict", "compat"):
        with pytest.raises(DocumentError, match="2 elements, and the image has 3 layers"):
            check_layers(config, 3, document="config", profile=profile)


def test_j10_a_history_that_counts_other_layers_is_a_finding_or_refused() -> None:
    config = parse(rootfs=rootfs(A, B), history=[{}, {"empty_layer": True}])
    (finding,) = check_layers(config, 2, document="config", profile="compat")
    assert finding == "config: history: 1 of its 2 elements made a layer, and there are 2"
    with pytest.raises(DocumentError) as caught:
        check_layers(config, 2, document="config", profile="strict")
    assert str(caught.value) == finding


def test_j10_empty_layers_of_a_history_are_not_counted() -> None:
    config = parse(rootfs=rootfs(A), history=[{"empty_layer": True}, {}, {"empty_layer": True}])
    assert check_layers(config, 1, document="config", profile="strict") == ()


def test_chain_ids_are_those_of_the_spec() -> None:
    assert parse(rootfs=rootfs(A, B, B)).chain_ids() == (A, AB, ABB)
    assert chain_ids((Digest(A),)) == (A,)
    assert chain_ids(()) == ()
