"""Images that want more from a bundle than a root of their own: every one against a canary.

The canary lies where links of the image point to: beside the bundle, by absolute and by relative
names. What an image may not do fails, and leaves nothing; what it may do happens in its root.
"""

import errno
import json
import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.canary import IS_ROOT, Canary, make_victim
from support.images import Sample, layout_files, write_folder
from support.layers import LAYER, Layer, sha256
from support.tar_build import archive, entry

import ocifast.ops.bundle as ops
from ocifast.errors import OcifastError, TreeError
from ocifast.ops.bundle import bundle

LINK, FOLDER, FIFO, DEVICE = b"2", b"5", b"6", b"3"
PASSWD = b"root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n"


@pytest.fixture
def victim():
    """Something to harm, which is the same when the test ends; its path fits into a header."""
    folder = Path(tempfile.mkdtemp(prefix="ocifast-"))
    try:
        make_victim(folder)
        (folder / "passwd").write_bytes(b"evil:x:0:0::/:\napp:x:0:0::/:\n")
        canary = Canary(folder)
        yield folder
        canary.check()
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def image(tmp_path):
    """Make an image of entries and a config; gives its reference."""

    def make(*entries, **runtime):
        tar = archive(*entries)
        layer = Layer(tar, LAYER, sha256(tar), sha256(tar), len(tar), len(entries))
        sample = Sample((layer,), ("it",), runtime={"Cmd": ["/app"], **runtime})
        return f"oci:{write_folder(tmp_path / 'image', layout_files(sample))}"

    return make


def made(ref, tmp_path, **options):
    options.setdefault("rootless", not IS_ROOT)
    return bundle(ref, tmp_path / "out/it", workers=0, **options)


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path):
    """Beside a bundle there is nothing, and where it failed there is none."""
    (tmp_path / "out").mkdir()
    yield
    assert set(os.listdir(tmp_path / "out")) <= {"it"}
    if (tmp_path / "out/it").exists():
        assert sorted(os.listdir(tmp_path / "out/it")) == ["config.json", "rootfs"]


def user_of(report):
    return tuple(report.config["process"]["user"][key] for key in ("uid", "gid"))


@pytest.mark.parametrize("up", ["", "../../../../.."])
def test_p19_passwd_that_is_a_link_out_of_the_root_is_not_there(
    image, victim, tmp_path, up
) -> None:
    target = f"{up}{victim}/passwd".encode()
    ref = image(entry(b"etc/passwd", b"", LINK, link=target), User="app")
    with pytest.raises(TreeError, match="it has no user 'app'"):
        made(ref, tmp_path)


@pytest.mark.skipif(not IS_ROOT, reason="without privileges there is one user")
@pytest.mark.parametrize("target", [b"/lib/accounts", b"../lib/accounts", b"../../../lib/accounts"])
def test_p19_passwd_that_is_a_link_within_the_root_is_read(image, victim, tmp_path, target) -> None:
    ref = image(
        entry(b"lib/accounts", PASSWD), entry(b"etc/passwd", b"", LINK, link=target), User="app"
    )
    assert user_of(made(ref, tmp_path)) == (1000, 1001)


@pytest.mark.parametrize("user", ["app", "1000", ""])
@pytest.mark.parametrize(
    "passwd",
    [
        entry(b"etc/passwd", b"", FIFO),
        entry(b"etc/passwd/", b"", FOLDER, mode=0o755),
        entry(b"etc/passwd", b"", LINK, link=b"/etc"),
        entry(b"etc/passwd", PASSWD + b"x" * (1 << 20)),
        entry(b"etc/passwd", PASSWD + b"x" * (65 << 10)),
        pytest.param(
            entry(b"etc/passwd", b"", DEVICE, major=1, minor=5),
            marks=pytest.mark.skipif(not IS_ROOT, reason="a device is an empty file here"),
        ),
    ],
    ids=["pipe", "folder", "link to a folder", "huge", "long line", "device"],
)
def test_p19_passwd_that_is_no_short_file_is_refused(image, tmp_path, passwd, user) -> None:
    with pytest.raises((TreeError, OSError)) as caught:
        made(image(passwd, User=user), tmp_path)
    assert "etc/passwd" in str(caught.value)


def test_p19_links_in_a_circle_are_an_error_and_no_loop(image, tmp_path) -> None:
    ref = image(entry(b"etc", b"", LINK, link=b"etc"), User="app")
    with pytest.raises(OSError, match=r"etc/passwd") as caught:
        made(ref, tmp_path)
    assert caught.value.errno == errno.ELOOP


@pytest.mark.parametrize("name", [b"srv", b"srv/app"])
def test_b03_a_folder_behind_a_link_is_made_in_the_root(image, victim, tmp_path, name) -> None:
    ref = image(
        entry(b"inner/", b"", FOLDER, mode=0o755),
        entry(b"srv", b"", LINK, link=b"/inner"),
        entry(b"lost", b"", LINK, link=os.fsencode(victim)),
        WorkingDir=f"/{name.decode()}/x",
    )
    made(ref, tmp_path)
    tail = name.removeprefix(b"srv").decode()
    path = tmp_path / f"out/it/rootfs/inner{tail}/x"
    assert stat.S_IMODE(os.lstat(path).st_mode) == 0o755


def test_b03_a_folder_that_is_a_link_out_of_the_root_is_refused(image, victim, tmp_path) -> None:
    target = os.fsencode(victim)
    ref = image(entry(b"work", b"", LINK, link=target), WorkingDir="/work")
    with pytest.raises(TreeError, match="a link that leads nowhere"):
        made(ref, tmp_path)


@pytest.mark.parametrize("at", ["/work", "/work/fd/7", "/work/self/fd/7"])
@pytest.mark.parametrize("target", [b"/proc", b"proc", b"../proc", b"/proc/self"])
def test_b03_a_link_into_proc_is_refused_even_if_the_image_has_folders_there(
    image, tmp_path, at, target
) -> None:
    folders = [b"proc/self/fd/7/", b"proc/fd/7/", b"proc/self/self/fd/7/"]
    ref = image(
        *(entry(name, b"", FOLDER, mode=0o755) for name in folders),
        entry(b"work", b"", LINK, link=target),
        WorkingDir=at,
    )
    with pytest.raises(TreeError, match="what the runtime mounts"):
        made(ref, tmp_path)


def test_b03_volumes_of_an_image_are_no_mounts(image, tmp_path) -> None:
    plain = made(image(), tmp_path).config
    odd = {"/proc/self/fd/7": {}, "../../etc": {}, "/host:/host": {}}
    config = made(image(Volumes=odd), tmp_path, replace=True).config
    assert config == plain


@pytest.mark.parametrize("name", ["config.json", "rootfs", "../config.json", "hooks"])
def test_a_file_called_like_one_of_the_bundle_stays_in_the_root(image, tmp_path, name) -> None:
    ref = image(entry(name.encode(), b'{"hooks": {}}'))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        if name.startswith(".."):
            with pytest.raises(OcifastError):
                made(ref, tmp_path, profile="strict")
        else:
            made(ref, tmp_path, profile="strict")
            assert (tmp_path / "out/it/rootfs" / name).read_bytes() == b'{"hooks": {}}'
            config = json.loads((tmp_path / "out/it/config.json").read_bytes())
            assert "hooks" not in config


def test_what_fails_at_the_last_step_leaves_nothing(image, tmp_path, monkeypatch) -> None:
    def fail(*_):
        raise OSError(errno.ENOSPC, "no space", "config.json")

    monkeypatch.setattr(ops.BundleStaging, "write", fail)
    with pytest.raises(OSError, match="no space"):
        made(image(entry(b"app", b"x")), tmp_path)
    assert os.listdir(tmp_path / "out") == []


def test_what_was_there_stays_when_a_bundle_fails(image, tmp_path) -> None:
    made(image(entry(b"app", b"x")), tmp_path)
    before = sorted((tmp_path / "out/it").rglob("*"))
    with pytest.raises(TreeError):
        made(image(User="nobody"), tmp_path, replace=True)
    assert sorted((tmp_path / "out/it").rglob("*")) == before


def test_a_bundle_is_seen_by_nobody_else(image, tmp_path) -> None:
    made(image(), tmp_path)
    assert stat.S_IMODE(os.stat(tmp_path / "out/it").st_mode) == 0o700


WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
PATHS = st.lists(st.sampled_from(["", ".", "..", "proc", "a", "/", "self"]), max_size=5).map(
    "/".join
)
RUNTIMES = st.fixed_dictionaries(
    {
        "Entrypoint": st.none() | st.lists(WORDS, max_size=3),
        "Cmd": st.none() | st.lists(WORDS, max_size=3),
        "Env": st.none() | st.lists(WORDS | st.sampled_from(["A=1", "A=2", "PATH="]), max_size=6),
        "WorkingDir": WORDS | PATHS,
        "User": st.sampled_from(["", "0", "app", "1000:1001", "-1", "9" * 30]) | WORDS,
        "Labels": st.none() | st.dictionaries(WORDS, WORDS, max_size=3),
    }
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(runtime=RUNTIMES)
def test_b04_whatever_a_config_says_a_bundle_is_sound_or_not_there(
    image, tmp_path, runtime
) -> None:
    try:
        made(image(entry(b"etc/passwd", PASSWD), **runtime), tmp_path, replace=True)
    except (OcifastError, OSError):
        return
    process = json.loads((tmp_path / "out/it/config.json").read_bytes())["process"]
    names = [each.partition("=")[0] for each in process["env"]]
    assert process["args"][0]
    assert len(names) == len(set(names))
    assert all(names)
    assert process["cwd"] == os.path.normpath(process["cwd"])
    assert process["cwd"].startswith("/")
    assert ".." not in process["cwd"].split("/")
    assert not f"{process['cwd']}/".startswith(("/proc/", "/sys/", "/dev/"))
