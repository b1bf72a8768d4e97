"""The config.json that umoci makes of an image and ours are the same, but for a list.

What umoci (0.4.7) does otherwise, and why we do not:

- The template is that of `runc spec` of its time. A terminal is asked for, which needs one; three
  capabilities, also inheritable and ambient, where engines give fourteen that are neither; fewer
  paths are masked; /proc is mounted without nosuid, nodev, noexec; another name of the host.
- TERM is set, as a terminal is asked for. PATH comes first, wherever the image has it.
- The primary group is not among the supplementary ones.
- A volume is a tmpfs, which hides what the image has there.
- The folder is as the image writes it, and may have `..` in it.
- Fields that the image leaves out become annotations without a value.
- Fields of a config win over labels of the same name; the specification says that labels do.
- A link in the place of /etc/passwd is followed out of the image.
- /etc/passwd is looked at for HOME by the runtime, not here.
- Rootless, the host's resolv.conf is mounted, which other networks have no use for; /sys is of type
  bind, not none, as runc has it.
"""

import json
import os
import subprocess

import pytest
from support.bundles import ACCOUNTS, sample, special, write_image
from support.canary import IS_ROOT

from ocifast.ops.bundle import bundle

RUNTIMES = {
    "least": {},
    "words": {"Entrypoint": ["/e", "x"], "Cmd": ["c", "d"]},
    "environment": {"Env": ["PATH=/x", "B=2", "A=1", "EMPTY=", "LINES=a\nb"]},
    "user": {"User": "app"},
    "group": {"User": "app:web"},
    "number": {"User": "1000"},
    "numbers": {"User": "4242:17"},
    "number and name": {"User": "4242:web"},
    "nobody": {"User": "4242"},
    "folder": {"WorkingDir": "/srv/app"},
    "labels": {"Labels": {"b": "2", "a": "1", "org.example.long": "x" * 1000}},
    "ports": {"ExposedPorts": {"80/tcp": {}, "22/tcp": {}}, "StopSignal": "SIGINT"},
}
TEMPLATE = ("terminal", "capabilities", "rlimits", "noNewPrivileges")


@pytest.fixture
def both(oracle, tmp_path):
    """The two documents, of the same image."""

    def make(image, *, rootless=not IS_ROOT):
        layout = write_image(tmp_path, image)
        option = ["--rootless"] * rootless
        name = image.names[0]
        words = [oracle("umoci"), "unpack", *option, "--image", f"{layout[4:]}:{name}"]
        done = subprocess.run(
            [*words, tmp_path / "theirs"], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        report = bundle(layout, tmp_path / "ours", workers=0, rootless=rootless)
        return report.config, json.loads((tmp_path / "theirs/config.json").read_text())

    return make


def of_image(config):
    """What the image has a say in, without what the list above says."""
    process = {key: value for key, value in config["process"].items() if key not in TEMPLATE}
    user = dict(process.pop("user"))
    groups = set(user.pop("additionalGids", ())) - {user["gid"]}
    env = process.pop("env")
    known = [entry for entry in env if not entry.startswith(("TERM=", "HOME=", "PATH="))]
    path = [entry for entry in env if entry.startswith("PATH=")]
    annotations = {key: value for key, value in config["annotations"].items() if value}
    return process, user, groups, known, path, annotations


@pytest.mark.parametrize("name", RUNTIMES)
def test_what_an_image_says_becomes_what_umoci_makes_of_it(both, name) -> None:
    runtime = RUNTIMES[name]
    if not IS_ROOT and runtime.get("User"):
        pytest.skip("without privileges there is only root")
    ours, theirs = both(sample(runtime))
    assert of_image(ours) == of_image(theirs)


def test_an_unclean_folder_is_made_clean(both) -> None:
    ours, theirs = both(sample({"WorkingDir": "/srv//x/../app/"}))
    assert ours["process"]["cwd"] == os.path.normpath(theirs["process"]["cwd"]) == "/srv/app"


def test_passwd_that_is_a_link_is_the_same_for_both(both) -> None:
    if not IS_ROOT:
        pytest.skip("without privileges there is only root")
    files = {
        "etc/passwd": special(b"2", "../usr/passwd"),
        "usr/passwd": ACCOUNTS["etc/passwd"],
        "etc/group": ACCOUNTS["etc/group"],
    }
    ours, theirs = both(sample({"User": "app"}, files))
    assert of_image(ours) == of_image(theirs)


def keys_of(value, where=""):
    """Every place in a document that is no element of a list."""
    if not isinstance(value, dict):
        return {where}
    return {place for key, inner in value.items() for place in keys_of(inner, f"{where}.{key}")}


def test_the_template_differs_in_what_is_listed(both) -> None:
    ours, theirs = both(sample())
    only_theirs = {
        place for place in keys_of(theirs) - keys_of(ours) if not place.startswith(".annotations")
    }
    assert only_theirs == {
        ".process.capabilities.ambient",
        ".process.capabilities.inheritable",
    }
    assert keys_of(ours) - keys_of(theirs) <= {".process.user.additionalGids", ".root.readonly"}
    assert set(theirs["linux"]["maskedPaths"]) < set(ours["linux"]["maskedPaths"])
    readonly = set(theirs["linux"]["readonlyPaths"]) - set(ours["linux"]["readonlyPaths"])
    assert readonly <= set(ours["linux"]["maskedPaths"]), "what is masked need not be read-only"
    assert theirs["linux"].get("resources") == ours["linux"].get("resources")
    assert theirs["process"]["rlimits"] == ours["process"]["rlimits"]
    assert theirs["process"]["noNewPrivileges"] == ours["process"]["noNewPrivileges"] is True


@pytest.mark.parametrize("rootless", [False, True])
def test_mounts_and_namespaces_are_the_same_but_for_what_is_listed(both, rootless) -> None:
    if not IS_ROOT and not rootless:
        pytest.skip("only root makes bundles for root")
    ours, theirs = both(sample(), rootless=rootless)
    differ = {"/proc"} | ({"/sys", "/sys/fs/cgroup", "/etc/resolv.conf"} if rootless else set())
    mounts = [{each["destination"]: each for each in config["mounts"]} for config in (ours, theirs)]
    for found in mounts:
        for each in differ:
            found.pop(each, None)
    assert mounts[0] == mounts[1]
    kinds = [
        {each["type"] for each in config["linux"]["namespaces"]} - {"cgroup"}
        for config in (ours, theirs)
    ]
    assert kinds[0] == kinds[1]
    assert ours["linux"].get("uidMappings") == theirs["linux"].get("uidMappings")
    assert ours["linux"].get("gidMappings") == theirs["linux"].get("gidMappings")


def test_labels_win_here_and_volumes_are_what_the_image_has(both) -> None:
    ours, theirs = both(
        sample({"Labels": {"org.opencontainers.image.os": "mine"}, "Volumes": {"/data": {}}})
    )
    assert ours["annotations"]["org.opencontainers.image.os"] == "mine"
    assert theirs["annotations"]["org.opencontainers.image.os"] == "linux"
    places = [each["destination"] for each in theirs["mounts"]]
    assert "/data" in places
    assert "/data" not in [each["destination"] for each in ours["mounts"]]


def test_p19_passwd_that_leads_out_of_the_image_is_not_followed(tmp_path) -> None:
    (tmp_path / "usr").mkdir()
    (tmp_path / "usr/passwd").write_text("app:x:0:0::/outside:\n")
    files = {"etc/passwd": special(b"2", "../../../usr/passwd")}
    layout = write_image(tmp_path, sample({"User": "app"}, files))
    with pytest.raises(ValueError, match="has no user"):
        bundle(layout, tmp_path / "ours", workers=0, rootless=not IS_ROOT)


def test_both_refuse_a_user_that_is_not_there(oracle, tmp_path) -> None:
    layout = write_image(tmp_path, sample({"User": "nobody"}))
    words = [oracle("umoci"), "unpack", *["--rootless"] * (not IS_ROOT)]
    words += ["--image", f"{layout[4:]}:app:1", tmp_path / "theirs"]
    assert subprocess.run(words, check=False, capture_output=True).returncode
    with pytest.raises(ValueError, match="has no user"):
        bundle(layout, tmp_path / "ours", workers=0, rootless=not IS_ROOT)
    assert not os.path.lexists(tmp_path / "ours")
