"""Calls of `bundle` refused by strace: what fails leaves nothing, and devices are not touched."""

import os
import subprocess
import sys
import tarfile

import pytest
from support.bundles import ACCOUNTS, sample, special, write_image
from support.canary import IS_ROOT

ROOTLESS = [] if IS_ROOT else ["--rootless"]


@pytest.fixture
def run(oracle, tmp_path):
    """Run `ocifast bundle` of an image into `out`, traced; gives exit code and what it said."""
    strace = oracle("strace")

    def traced(image, *expressions, log=os.devnull):
        command = [strace, "-f", "-qq", "-o", log]
        for each in expressions:
            command += ["-e", each]
        command += [sys.executable, "-P", "-m", "ocifast", "bundle", "-q", "--workers", "0"]
        command += [*ROOTLESS, write_image(tmp_path, image), tmp_path / "out"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert "Traceback" not in done.stderr
        return done.returncode, done.stderr

    return traced


@pytest.mark.parametrize(
    ("what", "code", "sentence"),
    [
        ("openat2:error=ENOSYS", 4, "openat2(2) is not there"),
        ("openat2:error=EPERM", 4, "openat2(2) is not there"),
        ("openat2:error=EIO", 6, "etc/passwd: Input/output error"),
        ("openat2:error=EACCES:when=2", 6, "etc/passwd: Permission denied"),
        ("renameat,renameat2:error=EIO:when=1", 6, "Input/output error"),
        ("mkdirat:error=ENOSPC:when=1", 6, "No space left on device"),
        ("mkdirat:error=ENOSPC:when=4", 6, "No space left on device"),
        ("fchmod:error=EROFS:when=1", 6, "Read-only file system"),
    ],
)
def test_a_call_that_fails_is_an_error_and_leaves_nothing(
    run, tmp_path, what, code, sentence
) -> None:
    calls = what.partition(":")[0]
    image = sample({"User": "root", "WorkingDir": "/srv/made"})
    found, error = run(image, f"trace={calls}", f"inject={what}")
    assert (found, error.count("\n")) == (code, 1), error
    assert sentence in error
    assert ".ocifast-" not in error
    assert os.listdir(tmp_path) == ["layout"]


@pytest.mark.skipif(not IS_ROOT, reason="only root may make devices")
def test_p19_a_device_in_the_place_of_passwd_is_not_even_opened(run, tmp_path) -> None:
    device = special(tarfile.CHRTYPE)
    device.devmajor, device.devminor = 1, 5
    log = tmp_path / "log"
    image = sample({"User": "app"}, ACCOUNTS | {"etc/passwd": device})
    code, error = run(image, "trace=openat2", log=log)
    assert code == 4
    assert "etc/passwd: it is no regular file" in error
    (call,) = [line for line in log.read_text().splitlines() if "etc/passwd" in line]
    assert "O_PATH" in call
    assert "RESOLVE_IN_ROOT" in call
    assert "RESOLVE_NO_MAGICLINKS" in call


@pytest.mark.parametrize(
    ("what", "code"),
    [("EAGAIN:when=1..100", 0), ("EPERM:when=1", 6), ("EAGAIN", 6)],
)
def test_a_look_up_that_the_kernel_gave_up_is_tried_again(run, what, code) -> None:
    found, error = run(sample(), "trace=openat2", f"inject=openat2:error={what}")
    assert found == code, error
