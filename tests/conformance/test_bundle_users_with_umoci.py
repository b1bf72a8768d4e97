"""Who runs is who umoci says, or both refuse; but for lines that are malformed, which it takes for
root, and for the primary group, which here is among the supplementary ones.
"""

import json
import subprocess

import pytest
from support.bundles import sample, write_image
from support.canary import IS_ROOT

from ocifast.errors import OcifastError
from ocifast.ops.bundle import bundle

ACCOUNTS = {
    "etc/passwd": "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n"
    "twice:x:7:8::/one:\ntwice:x:9:9::/two:\n12:x:55:55::/digits:\n",
    "etc/group": "app:x:1001:\ntape:x:7:app,other\nroot:x:0:root\n12:x:13:app\n",
}
USERS = ["", "root", "app", "twice", "nobody", "0", "12", "13", "55", "99", "1000"]
USERS += ["app:tape", "app:8", "1000:tape", "5:6", ":tape", "app:", "app:nogroup", "nobody:app"]
USERS += ["2147483647", "2147483648", "-1", "0x0", " app", "1000:12"]
pytestmark = pytest.mark.skipif(not IS_ROOT, reason="without privileges there is one user")


def of_umoci(oracle, ref, folder):
    """The user that umoci writes down; None when it refuses the image."""
    image = f"{ref.removeprefix('oci:')}:app:1"
    words = [oracle("umoci"), "unpack", "--image", image, folder]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    return user_of(folder) if done.returncode == 0 else None


def of_ours(ref, folder):
    try:
        bundle(ref, folder, workers=0)
    except OcifastError:
        return None
    return user_of(folder)


def user_of(folder):
    user = json.loads((folder / "config.json").read_bytes())["process"]["user"]
    return user["uid"], user["gid"], {user["gid"], *user.get("additionalGids", [])}


@pytest.mark.parametrize("user", USERS)
def test_a_user_is_the_same_or_refused_by_both(oracle, tmp_path, user) -> None:
    ref = write_image(tmp_path, sample({"User": user}, ACCOUNTS))
    assert of_ours(ref, tmp_path / "ours") == of_umoci(oracle, ref, tmp_path / "theirs")


def test_b02_a_malformed_line_is_root_for_umoci_and_refused_here(oracle, tmp_path) -> None:
    files = {**ACCOUNTS, "etc/passwd": "app:x:many:1001::/home/app:/bin/sh\n"}
    ref = write_image(tmp_path, sample({"User": "app"}, files))
    assert of_ours(ref, tmp_path / "ours") is None
    assert of_umoci(oracle, ref, tmp_path / "theirs")[0] == 0
