"""The config.json of a bundle: what of an image gets into it, and what never does."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocifast.ops.bundle_annotations import annotations_of, is_reserved
from ocifast.ops.bundle_config import CAPABILITIES, Isolation, runtime_config
from ocifast.ops.bundle_process import Process
from ocifast.ops.bundle_user import User
from ocifast.spec.config import ImageConfig

PROCESS = Process(("/app", "x"), {"A": "1"}, "/srv")
RANGES = ((0, 100_000, 65_536),)


def config_of(isolation=None, user=None, annotations=None):
    made = runtime_config(PROCESS, user or User(), annotations or {}, isolation or Isolation())
    assert json.loads(json.dumps(made)) == made
    return made


def mount_of(config, destination):
    (found,) = (each for each in config["mounts"] if each["destination"] == destination)
    return found


def image_config(**fields):
    rootfs = {"type": "layers", "diff_ids": []}
    value = {"architecture": "amd64", "os": "linux", "rootfs": rootfs} | fields
    return ImageConfig.parse(json.dumps(value).encode(), document="config")


# ---- the template ----


def test_the_process_is_the_images_and_what_it_may_do_is_not() -> None:
    process = config_of(user=User(7, 8, (8, 9), "/home"))["process"]
    assert process["args"] == ["/app", "x"]
    assert process["env"] == ["A=1", "HOME=/home"]
    assert process["cwd"] == "/srv"
    assert process["user"] == {"uid": 7, "gid": 8, "additionalGids": [8, 9]}
    assert process["terminal"] is False
    assert process["noNewPrivileges"] is True
    assert process["capabilities"].keys() == {"bounding", "effective", "permitted"}
    assert all(each == list(CAPABILITIES) for each in process["capabilities"].values())
    assert len(CAPABILITIES) == 14
    assert not {"CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_NET_ADMIN"} & set(CAPABILITIES)


def test_what_is_shared_with_the_host_is_nothing() -> None:
    config = config_of()
    kinds = [each["type"] for each in config["linux"]["namespaces"]]
    assert kinds == ["pid", "network", "ipc", "uts", "mount"]
    assert all(each.keys() == {"type"} for each in config["linux"]["namespaces"])
    assert not any(each["source"].startswith("/") for each in config["mounts"])
    assert config["linux"]["resources"] == {"devices": [{"allow": False, "access": "rwm"}]}
    assert "hooks" not in config
    assert config["root"] == {"path": "rootfs", "readonly": False}
    assert "/proc/kcore" in config["linux"]["maskedPaths"]
    assert "/proc/sys" in config["linux"]["readonlyPaths"]


def test_cgroups_have_a_namespace_where_they_can() -> None:
    kinds = config_of(Isolation(cgroups=True))["linux"]["namespaces"]
    assert {"type": "cgroup"} in kinds


def test_only_keys_of_version_one_are_used() -> None:
    config = config_of(Isolation(RANGES, RANGES), annotations={"a": "b"})
    assert config["ociVersion"] == "1.0.0"
    assert config.keys() == {
        "ociVersion", "process", "root", "hostname", "mounts", "annotations", "linux",
    }  # fmt: skip
    assert config["linux"].keys() == {
        "uidMappings", "gidMappings", "resources", "namespaces", "maskedPaths", "readonlyPaths",
    }  # fmt: skip


def test_ranges_make_a_user_namespace_and_are_in_it() -> None:
    linux = config_of(Isolation(RANGES, ((0, 200_000, 10),)))["linux"]
    assert {"type": "user"} in linux["namespaces"]
    assert {"type": "network"} in linux["namespaces"]
    assert linux["uidMappings"] == [{"containerID": 0, "hostID": 100_000, "size": 65_536}]
    assert linux["gidMappings"] == [{"containerID": 0, "hostID": 200_000, "size": 10}]


def test_terminals_are_of_their_group_where_there_is_one() -> None:
    for gids, expected in ((RANGES, True), (((0, 1, 5),), False), (((0, 1, 6),), True), ((), True)):
        config = config_of(Isolation(RANGES if gids else (), gids))
        assert ("gid=5" in mount_of(config, "/dev/pts")["options"]) is expected


def test_without_privileges_it_is_as_runc_makes_it() -> None:
    own = ((0, 1000, 1),)
    config = config_of(Isolation(own, own, rootless=True), User(0, 0, (0, 5)))
    kinds = [each["type"] for each in config["linux"]["namespaces"]]
    assert kinds == ["pid", "ipc", "uts", "mount", "user"]
    assert config["linux"]["uidMappings"] == [{"containerID": 0, "hostID": 1000, "size": 1}]
    assert "resources" not in config["linux"]
    assert "additionalGids" not in config["process"]["user"]
    assert mount_of(config, "/sys") == {
        "destination": "/sys",
        "type": "none",
        "source": "/sys",
        "options": ["rbind", "nosuid", "noexec", "nodev", "ro"],
    }
    options = [option for each in config["mounts"] for option in each["options"]]
    assert not any(option.startswith(("uid=", "gid=")) for option in options)


# ---- annotations ----


def test_what_a_config_says_of_itself_becomes_annotations() -> None:
    config = image_config(
        created="2024-01-02T03:04:05Z",
        author="somebody",
        variant="v2",
        **{"os.version": "1", "os.features": ["b", "a"]},
        config={"StopSignal": "SIGINT", "ExposedPorts": {"80/tcp": {}, "22/tcp": {}}},
    )
    prefix = "org.opencontainers.image."
    assert annotations_of(config) == (
        {
            f"{prefix}architecture": "amd64",
            f"{prefix}author": "somebody",
            f"{prefix}created": "2024-01-02T03:04:05Z",
            f"{prefix}exposedPorts": "22/tcp,80/tcp",
            f"{prefix}os": "linux",
            f"{prefix}os.features": "b,a",
            f"{prefix}os.version": "1",
            f"{prefix}stopSignal": "SIGINT",
            f"{prefix}variant": "v2",
        },
        (),
    )


def test_labels_are_annotations_and_win() -> None:
    labels = {"org.opencontainers.image.os": "mine", "org.example.a": "", "maintainer": "é\n"}
    found, left_out = annotations_of(image_config(config={"Labels": labels}))
    assert labels.items() <= found.items()
    assert list(found) == sorted(found)
    assert left_out == ()


@pytest.mark.parametrize(
    "name",
    [
        "io.containerd.image.config.stop-signal",
        "io.kubernetes.cri.container-type",
        "io.kubernetes.cri-o.TrySkipVolumeSELinuxLabel",
        "IO.Kubernetes.cri-o.userns-mode",
        "cdi.k8s.io/gpu",
        "cdi.k8s.io",
        "nvidia.cdi.k8s.io/container.app",
        "container.apparmor.security.beta.kubernetes.io/app",
        "devices.nri.io/container.app",
        "run.oci.handler",
        "run.oci.hooks.stdout",
        "org.systemd.property.DeviceAllow",
        "io.katacontainers.config.hypervisor.path",
        "dev.gvisor.flag.debug",
        "dev.gvisor.spec.mount.a.source",
        "module.wasm.image/variant",
        "io.containers.trace-syscall",
        "io.podman.annotations.privileged",
        "krun.cpus",
        "com.nvidia.volumes.needed",
    ],
)
def test_b01_labels_that_engines_act_on_are_left_out_and_noted(name) -> None:
    found, left_out = annotations_of(image_config(config={"Labels": {name: "x", "kept": "y"}}))
    assert is_reserved(name)
    assert name not in found
    assert found["kept"] == "y"
    (finding,) = left_out
    assert name in finding


@pytest.mark.parametrize("name", ["org.criu.checkpoint.container.name", "org.criu.checkpoint"])
def test_b06_labels_of_a_checkpoint_are_left_out(name) -> None:
    assert is_reserved(name)


@pytest.mark.parametrize(
    "name",
    [
        "org.opencontainers.image.title",
        "io.k8s.description",
        "io.buildah.version",
        "com.example/k8s.io",
        "maintainer",
        "runoci",
        "xk8s.io/a",
    ],
)
def test_other_labels_are_kept(name) -> None:
    assert not is_reserved(name)
    found, _ = annotations_of(image_config(config={"Labels": {name: "x"}}))
    assert found[name] == "x"


def test_b05_a_label_without_a_name_is_left_out() -> None:
    found, left_out = annotations_of(image_config(config={"Labels": {"": "x"}}))
    assert "" not in found
    assert "it has no name" in left_out[0]


def test_b05_labels_left_out_are_counted_when_there_are_too_many_to_tell() -> None:
    labels = {f"run.oci.{number}": "x" for number in range(1000)}
    _, left_out = annotations_of(image_config(config={"Labels": labels}))
    assert len(left_out) == 101
    assert left_out[-1] == "config: config.Labels: 900 more are left out"


HOSTILE = st.sampled_from(
    ["hooks", "mounts", "CAP_SYS_ADMIN", "/etc/shadow", "linux", "org.opencontainers.image.os"]
)
TEXT = HOSTILE | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
NUMBERS = st.integers(0, 2**31 - 1)


@given(
    st.lists(TEXT, min_size=1), st.dictionaries(TEXT, TEXT), st.dictionaries(TEXT, TEXT), NUMBERS
)
def test_b05_nothing_of_an_image_changes_the_template(args, env, labels, number) -> None:
    process = Process(tuple(args), env, "/x")
    annotations, _ = annotations_of(image_config(config={"Labels": labels}))
    found = runtime_config(process, User(number, number), annotations, Isolation())
    expected = config_of()
    for config in (found, expected):
        config.pop("annotations", None)
        for name in ("args", "env", "cwd", "user"):
            del config["process"][name]
    assert found == expected
