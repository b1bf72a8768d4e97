"""A bundle as a whole: what is in the folder, and that it is there complete or not at all."""

import json
import os
import stat
import subprocess
import tarfile
from dataclasses import replace

import pytest
from support.bundles import ACCOUNTS, layer, sample, special, write_image
from support.canary import IS_ROOT
from support.images import (
    MANIFEST,
    blob_name,
    compact,
    descriptor,
    index_json,
    layout_files,
)
from support.processes import nothing_left

from ocifast import DocumentError, OcifastError, TreeError, UnsupportedError, open_image
from ocifast.ops.bundle import bundle

ROOTLESS = {} if IS_ROOT else {"rootless": True}
needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root may give files away")


@pytest.fixture
def make(tmp_path):
    """Make a bundle of an image in `tmp_path`; gives the report."""

    def run(image=None, **options):
        source = write_image(tmp_path, sample() if image is None else image)
        with nothing_left():
            return bundle(source, tmp_path / "out", workers=0, **(ROOTLESS | options))

    return run


@pytest.fixture
def refuses(tmp_path, make):
    """Make a bundle, which has to fail and to leave nothing."""

    def run(error, match, image=None, **options):
        with pytest.raises(error, match=match) as caught:
            make(image, **options)
        assert os.listdir(tmp_path) == ["layout"]
        return caught.value

    return run


def with_files(files, runtime=None):
    return sample(runtime, ACCOUNTS | files)


@needs_root
def test_a_bundle_is_a_config_and_a_tree(make, tmp_path) -> None:
    report = make(with_files({"srv/file": "content"}, {"User": "app", "Env": ["A=1"]}))
    out = tmp_path / "out"
    assert sorted(os.listdir(out)) == ["config.json", "rootfs"]
    assert (out / "rootfs/srv/file").read_text() == "content"
    assert json.loads((out / "config.json").read_text()) == report.config
    assert (report.path, report.rootfs.path) == (str(out), f"{out}/rootfs")
    assert report.rootfs.entries == 5
    assert report.findings == report.rootfs.findings == ()
    assert stat.S_IMODE(os.stat(out).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(out / "rootfs").st_mode) == 0o755
    assert sorted(os.listdir(tmp_path)) == ["layout", "out"]


def test_a_report_can_be_written_down(make) -> None:
    found = json.loads(json.dumps(make().to_dict()))
    assert found["schema"] == "ocifast.bundle/1"
    assert found["config"]["process"]["args"] == ["/bin/app"]
    assert found["rootfs"]["entries"] == 3
    assert list(found) == ["schema", "path", "config", "rootfs", "findings", "seconds"]


def test_an_image_that_is_open_is_taken_as_it_is(tmp_path) -> None:
    image = open_image(write_image(tmp_path, sample()))
    report = bundle(image, tmp_path / "out", workers=0, **ROOTLESS)
    assert report.config["process"]["args"] == ["/bin/app"]


def test_words_and_a_user_stand_for_those_of_the_image(make) -> None:
    image = sample({"Entrypoint": ["/e"], "User": "nobody"})
    process = make(image, args=["a", "b"], user="0").config["process"]
    assert process["args"] == ["/e", "a", "b"]
    assert process["user"]["uid"] == 0


# ---- who runs ----


@needs_root
def test_the_user_is_looked_up_in_the_image(make) -> None:
    process = make(sample({"User": "app"})).config["process"]
    assert process["user"] == {"uid": 1000, "gid": 100, "additionalGids": [100, 33, 29]}
    assert "HOME=/srv/app" in process["env"]


def test_the_user_is_looked_up_in_what_all_layers_come_to(make) -> None:
    upper = layer({"etc/passwd": "app:x:0:0::/upper:\n", "etc/.wh.group": ""})
    image = replace(sample({"User": "app"}), layers=(layer(), upper))
    process = make(image).config["process"]
    assert "HOME=/upper" in process["env"]


def test_b02_a_user_that_is_not_there_is_refused(refuses) -> None:
    refuses(TreeError, "has no user 'nobody'", sample({"User": "nobody"}))
    refuses(DocumentError, "ids are 0 to", sample({"User": "4294967296"}))


def test_p19_passwd_may_be_a_link_within_the_image(make, tmp_path) -> None:
    files = {
        "usr/passwd": "app:x:0:0::/linked:\n",
        "etc/passwd": special(tarfile.SYMTYPE, "/usr/passwd"),
    }
    assert "HOME=/linked" in make(sample({"User": "app"}, files)).config["process"]["env"]


def test_p19_passwd_that_leads_out_is_not_there(refuses, tmp_path) -> None:
    (tmp_path / "layout").mkdir()
    (tmp_path / "layout/passwd").write_text("app:x:0:0::/outside:\n")
    for target in (
        f"{tmp_path}/layout/passwd",
        "../../../layout/passwd",
        "/proc/self/root/etc/passwd",
    ):
        files = {"etc/passwd": special(tarfile.SYMTYPE, target)}
        refuses(TreeError, "has no user 'app'", sample({"User": "app"}, files))


@pytest.mark.parametrize(
    "content",
    [special(tarfile.FIFOTYPE), special(tarfile.DIRTYPE), bytes(2 << 20), b"x" * 70_000],
    ids=["pipe", "folder", "huge", "one line"],
)
def test_p19_passwd_that_is_no_short_file_of_lines_is_refused(refuses, content) -> None:
    refuses(TreeError, "etc/passwd: it", sample({"User": "app"}, {"etc/passwd": content}))


@needs_root
def test_p19_passwd_that_is_a_device_is_refused(refuses) -> None:
    device = special(tarfile.CHRTYPE)
    device.devmajor, device.devminor = 1, 5
    refuses(TreeError, "no regular file", sample({"User": "app"}, {"etc/passwd": device}))


# ---- where ----


def test_a_folder_that_is_there_stays_as_it_is(make, tmp_path) -> None:
    report = make(with_files({"srv/file": "x"}, {"WorkingDir": "/srv"}))
    assert report.config["process"]["cwd"] == "/srv"
    assert report.findings == ()


def test_a_folder_that_is_not_there_is_made(make, tmp_path) -> None:
    before = os.umask(0o077)
    try:
        report = make(sample({"WorkingDir": "/srv/app"}))
    finally:
        os.umask(before)
    for path in ("srv", "srv/app"):
        status = os.stat(tmp_path / "out/rootfs" / path)
        assert stat.S_IMODE(status.st_mode) == 0o755
        assert status.st_uid == os.geteuid()
    assert report.findings == ("config: config.WorkingDir: /srv/app was made",)


@pytest.mark.parametrize("target", ["/proc/self/fd/7", "/nowhere", "..", "proc"])
def test_b03_a_folder_that_is_a_link_leads_inside_or_is_refused(
    make, refuses, tmp_path, target
) -> None:
    image = with_files({"work": special(tarfile.SYMTYPE, target)}, {"WorkingDir": "/work"})
    if target == "..":
        make(image)
    else:
        refuses(TreeError, "/work: it is a link that leads nowhere", image)


def test_b03_a_link_into_what_the_runtime_mounts_is_refused(refuses) -> None:
    for folder in ("proc/self/fd/7", "dev/fd/7", "sys/fs"):
        files = {
            f"{folder}/x": "",
            "a": special(tarfile.SYMTYPE, f"/b/../{folder}"),
            "b/x": "",
        }
        image = with_files(files, {"WorkingDir": "/a"})
        refuses(TreeError, "/a: it is a link into what the runtime mounts", image)


def test_b03_a_folder_of_procfs_is_refused_before_anything_is_unpacked(refuses) -> None:
    refuses(DocumentError, "WorkingDir", sample({"WorkingDir": "/proc/self/fd/8"}))


@pytest.mark.parametrize("volume", ["/data", "/../../etc", "/proc/self/fd/7", "relative"])
def test_b03_volumes_never_become_mounts(make, volume) -> None:
    plain, other = make(), make(sample({"Volumes": {volume: {}}}), replace=True)
    assert plain.config["mounts"] == other.config["mounts"]


# ---- what an image cannot say ----


def test_b05_annotations_of_the_manifest_and_unknown_fields_are_not_taken_over(make) -> None:
    image = sample({"Mounts": [{"Source": "/"}], "Privileged": True, "Healthcheck": {"Test": []}})
    plain = make(sample()).config
    files = layout_files(image)
    manifest = json.loads(image.manifest) | {"annotations": {"org.example.policy": "none"}}
    raw = compact(manifest)
    files |= {blob_name(raw): raw, "index.json": index_json([descriptor(raw, MANIFEST)])}
    assert make(files, replace=True).config == plain


def test_b06_a_checkpoint_is_an_image_like_any_other(make) -> None:
    image = sample({"Labels": {"org.criu.checkpoint.container.name": "/evil", "kept": "x"}})
    files = layout_files(image)
    checkpoint = {
        "io.kubernetes.cri-o.annotations.checkpoint.name": "evil",
        "org.criu.checkpoint.image.name": "evil",
    }
    raw = compact(json.loads(image.manifest) | {"annotations": checkpoint})
    entry = descriptor(raw, MANIFEST, annotations=checkpoint)
    files |= {blob_name(raw): raw, "index.json": index_json([entry])}
    report = make(files)
    text = json.dumps(report.config)
    assert "criu" not in text
    assert "checkpoint" not in text
    assert report.config["annotations"]["kept"] == "x"
    assert "org.criu.checkpoint.container.name" in report.findings[0]


# ---- what is refused ----


def test_an_image_that_runs_elsewhere_is_refused(refuses) -> None:
    refuses(UnsupportedError, "for windows", sample(os_name="windows"))


def test_an_image_that_runs_nothing_is_refused_unless_it_is_told(refuses, make) -> None:
    image = sample({"Cmd": None})
    refuses(UnsupportedError, "neither Entrypoint nor Cmd", image)
    assert make(image, args=["/x"]).config["process"]["args"] == ["/x"]


def test_what_is_no_image_is_refused(tmp_path, refuses) -> None:
    artifact = json.loads(sample().manifest)
    artifact["config"]["mediaType"] = "application/vnd.example.config.v1+json"
    raw = compact(artifact)
    files = layout_files(sample())
    files |= {blob_name(raw): raw, "index.json": index_json([descriptor(raw, MANIFEST)])}
    refuses(OcifastError, "artifact", files)


def test_compat_notes_what_strict_refuses(make) -> None:
    assert "set twice" in make(sample({"Env": ["A=1", "A=2"]})).findings[0]


def test_strict_refuses_a_name_that_is_set_twice(refuses) -> None:
    refuses(DocumentError, "set twice", sample({"Env": ["A=1", "A=2"]}), profile="strict")


@pytest.mark.parametrize(
    "options",
    [
        {"uid_map": [(0, 1, 1)]},
        {"gid_map": [(0, 1, 1)]},
        {"uid_map": [(0, 1, 0)], "gid_map": [(0, 1, 1)]},
        {"uid_map": [(n, n, 1) for n in range(341)], "gid_map": [(0, 1, 1)]},
        {"args": ["a\0"]},
        {"args": ["a\udcff"]},
        {"user": "a\0"},
        {"devices": "some"},
    ],
)
def test_options_that_make_no_sense_are_refused(refuses, options) -> None:
    refuses(ValueError, None, **options)


def test_a_damaged_layer_leaves_nothing(refuses) -> None:
    image = sample()
    files = layout_files(image)
    name = blob_name(image.layers[0].blob)
    files[name] = files[name][:-9] + bytes(9)
    refuses(OcifastError, None, files)


# ---- what is there already ----


def test_what_is_there_is_kept_unless_it_is_to_be_replaced(make, tmp_path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("mine")
    with pytest.raises(OSError, match="it is not empty: --force replaces it") as caught:
        make()
    assert "--keep" not in str(caught.value)
    assert os.listdir(out) == ["mine"]
    make(replace=True)
    assert sorted(os.listdir(out)) == ["config.json", "rootfs"]
    with pytest.raises(TreeError):
        make(sample({"User": "nobody"}), replace=True)
    assert sorted(os.listdir(out)) == ["config.json", "rootfs"]
    assert sorted(os.listdir(tmp_path)) == ["layout", "out"]


def test_an_empty_folder_becomes_the_bundle(make, tmp_path) -> None:
    (tmp_path / "out").mkdir()
    make(sync=True)
    assert sorted(os.listdir(tmp_path / "out")) == ["config.json", "rootfs"]


@needs_root
def test_something_that_is_mounted_is_not_replaced(make, tmp_path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "none", out], check=False, capture_output=True)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.decode().strip()}")
    try:
        with pytest.raises(OSError, match="mounted") as caught:
            make(replace=True)
        assert caught.value.filename == str(out)
        assert os.listdir(out) == []
    finally:
        subprocess.run(["umount", out], check=True)


# ---- user namespaces ----

RANGES = {"uid_map": [(0, 100_000, 65_536)], "gid_map": [(0, 200_000, 65_536)]}


@needs_root
def test_files_belong_to_the_ids_of_the_namespace(make, tmp_path) -> None:
    report = make(sample({"User": "app", "WorkingDir": "/made/here"}), **RANGES)
    rootfs = tmp_path / "out/rootfs"
    for path in (rootfs, rootfs / "etc/passwd", rootfs / "made", rootfs / "made/here"):
        status = os.stat(path)
        assert (status.st_uid, status.st_gid) == (100_000, 200_000), path
    assert report.config["process"]["user"]["uid"] == 1000
    assert report.config["linux"]["uidMappings"] == [
        {"containerID": 0, "hostID": 100_000, "size": 65_536}
    ]


@needs_root
def test_root_of_a_namespace_reaches_its_files_and_cannot_change_the_config(make, tmp_path) -> None:
    make(**RANGES)
    status = os.stat(tmp_path / "out")
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o710, 0, 200_000)
    assert os.stat(tmp_path / "out/config.json").st_uid == 0


@needs_root
def test_a_user_that_has_no_range_is_refused(refuses) -> None:
    ranges = {"uid_map": [(0, 100_000, 10)], "gid_map": [(0, 200_000, 10)]}
    refuses(UnsupportedError, "runs as uid 1000", sample({"User": "app"}), **ranges)
    refuses(UnsupportedError, "runs as gid 100", sample({"User": "5:100"}), **ranges)


@needs_root
def test_groups_that_have_no_range_are_left_out(make) -> None:
    report = make(
        sample({"User": "first"}),
        uid_map=[(0, 100_000, 10)],
        gid_map=[(0, 200_000, 30)],
    )
    assert report.config["process"]["user"]["additionalGids"] == [8, 29]
    assert "left out" in report.findings[0]


def test_rootless_maps_root_to_who_makes_the_bundle(make, tmp_path) -> None:
    report = make(rootless=True)
    linux = report.config["linux"]
    assert linux["uidMappings"] == [{"containerID": 0, "hostID": os.geteuid(), "size": 1}]
    assert linux["gidMappings"] == [{"containerID": 0, "hostID": os.getegid(), "size": 1}]
    assert "additionalGids" not in report.config["process"]["user"]
    assert os.stat(tmp_path / "out/rootfs/etc/passwd").st_uid == os.geteuid()


def test_rootless_has_only_root_unless_ranges_are_given(make, refuses) -> None:
    image = sample({"User": "app"})
    refuses(UnsupportedError, "runs as uid 1000", image, rootless=True)
    report = make(
        image, rootless=True, uid_map=[(0, 5, 1), (1, 100_000, 65_535)], gid_map=[(0, 6, 101)]
    )
    assert report.config["process"]["user"] == {"uid": 1000, "gid": 100}
    assert len(report.config["linux"]["uidMappings"]) == 2
