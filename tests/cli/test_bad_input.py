"""Whatever is fed to it: one clear line, the promised exit code, bounded memory, no traceback."""

import bz2
import gzip
import hashlib
import lzma
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

MIB = 1 << 20


# The kernel's own figure for a process includes what pytest held when it forked, so it asks itself.
MEASURED = """
import resource, sys
from ocifast.cli import main
code = main(sys.argv[1:])
with open("/proc/self/status") as status:
    own = [int(line.split()[1]) for line in status if line.startswith("VmHWM")]
print(max(own[0], resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss), file=sys.stderr)
sys.exit(code)
"""


def measured(*arguments: str, cwd: Path) -> tuple[int, list[str], int]:
    """Exit code, complaints, and peak memory in bytes of the largest process of the command."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", MEASURED, *arguments],
        cwd=cwd,
        check=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    *complaints, peak = done.stderr.splitlines()
    return done.returncode, complaints, int(peak) * 1024


def one_line(done, path: str) -> str:
    (line,) = done.complaints
    begin = f"ocifast: {path}: "
    assert line.startswith(begin)
    return line.removeprefix(begin)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no bytes at all"),
        (b"x", "511 bytes are missing from its first header"),
        (b"text " * 500, "tar offset 0: not a tar archive"),
        (b"\x1f\x8b\x08", "gzip offset 3: truncated inside member header"),
        (gzip.compress(b"text " * 500), "tar offset 0: not a tar archive"),
        (b"\x28\xb5\x2f\xfd", "zstd offset 4: truncated inside frame header"),
        (bz2.compress(bytes(1024)), "compression bzip2 is not supported"),
        (lzma.compress(bytes(1024)), "compression xz is not supported"),
    ],
    ids=["empty", "1 byte", "text", "gzip magic", "gzip text", "zstd magic", "bzip2", "xz"],
)
@pytest.mark.parametrize("profile", ["strict", "compat"])
def test_what_is_no_layer_is_refused_with_file_offset_and_reason(
    call, layers, profile, data, reason
) -> None:
    layers.write("blob", data)
    done = call("hash", "--profile", profile, "blob")
    assert (done.code, done.out) == (4, b"")
    assert reason in one_line(done, "blob")


def blobs(layers, oracle) -> dict[str, bytes]:
    tar = layers.tar("etc/hostname")
    zstd = [oracle("zstd"), "-q", "--check"]
    return {
        "tar": tar,
        "gzip": gzip.compress(tar, mtime=0),
        "zstd": subprocess.run(zstd, input=tar, capture_output=True, check=True).stdout,
    }


@pytest.mark.parametrize("codec", ["tar", "gzip", "zstd"])
def test_a_layer_truncated_at_any_byte_is_refused(call, layers, oracle, codec) -> None:
    blob = blobs(layers, oracle)[codec]
    names = [layers.write(f"cut-{size}", blob[:size]) for size in range(len(blob))]
    done = call("hash", "--profile", "strict", "--workers", "0", *names)
    assert (done.code, done.out) == (4, b"")
    for name, line in zip(names, done.complaints, strict=True):
        assert re.match(rf"ocifast: {name.decode()}: (tar|gzip|zstd) offset \d+: ", line)


@pytest.mark.parametrize("codec", ["tar", "gzip", "zstd"])
@pytest.mark.parametrize("mask", [0xFF, 0x01])
def test_a_layer_with_a_flipped_byte_is_refused_or_hashed_as_it_is(
    call, layers, oracle, codec, mask
) -> None:
    blob = bytearray(blobs(layers, oracle)[codec])
    sums = {}
    for place in range(len(blob)):
        blob[place] ^= mask
        sums[f"bad-{place}"] = hashlib.sha256(blob).hexdigest()
        layers.write(f"bad-{place}", blob)
        blob[place] ^= mask
    done = call("hash", "-q", "--workers", "0", *sums)
    assert done.code == 4
    hashed = {name: digest for digest, _, name in (line.partition("  ") for line in done.lines)}
    assert hashed.items() <= sums.items()
    refused = [line.split(": ", 2) for line in done.complaints]
    assert len(hashed) + len(refused) == len(blob)
    for _, name, reason in refused:
        assert name in sums.keys() - hashed.keys()
        assert re.match(r"(tar|gzip|zstd) offset \d+: |limit \w+ is \d+, reached \d+", reason)


def test_a_folder_is_refused(call, tmp_path) -> None:
    (tmp_path / "folder").mkdir()
    done = call("hash", "folder")
    assert (done.code, one_line(done, "folder")) == (6, "is a directory, not a layer")


@pytest.mark.parametrize("name", ["missing", "missing/below", "layer.tar.gz/below"])
def test_a_missing_file_is_not_found(call, layers, name) -> None:
    layers.gzip()
    done = call("hash", name)
    assert done.code == 3
    assert one_line(done, name) in {"No such file or directory", "Not a directory"}


def test_an_unreadable_file_is_an_input_error(layers, tmp_path) -> None:
    layers.gzip("l")
    layers.gzip("secret")
    (tmp_path / "secret").chmod(0)
    tmp_path.chmod(0o755)
    # root reads everything, so it becomes nobody; after a run that imports what nobody may not
    code = (
        "import os, sys; from ocifast.cli import main; main(['hash', 'l'])\n"
        "if os.getuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "sys.exit(main(['hash', 'secret']))"
    )
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, text=True)
    assert (done.returncode, done.stderr) == (6, "ocifast: secret: Permission denied\n")


def gzip_bomb(layers, size: int) -> None:
    """As many gzip members of zeros as give `size`, a thousandth of it."""
    piece = 16 * MIB
    layers.write("bomb", gzip.compress(bytes(piece), 9) * (size // piece))


def test_z01_a_gzip_bomb_of_10_gb_ends_early_and_in_little_memory(layers, tmp_path) -> None:
    gzip_bomb(layers, 10 << 30)
    code, (line,), peak = measured("hash", "bomb", cwd=tmp_path)
    assert code == 4
    assert re.fullmatch(
        r"ocifast: bomb: gzip offset \d+: limit ratio is 512, reached \d+ \(see --max-ratio\)", line
    )
    assert peak < 128 * MIB


def test_limits_can_be_set(call, layers) -> None:
    gzip_bomb(layers, 128 * MIB)
    done = call("hash", "--max-output", "100MiB", "--max-ratio", "2000", "bomb")
    assert done.code == 4
    assert "limit output_bytes is 104857600, reached " in one_line(done, "bomb")
    assert one_line(done, "bomb").endswith(" (see --max-output)")
    assert call("hash", "-q", "--max-ratio", "2000", "bomb").code == 0


def test_a_zstd_bomb_ends_early_and_in_little_memory(layers, oracle, tmp_path) -> None:
    zeros = [oracle("zstd"), "-q", "-3"]
    frame = subprocess.run(zeros, input=bytes(64 * MIB), capture_output=True, check=True).stdout
    layers.write("bomb", frame * 160)
    code, (line,), peak = measured("hash", "bomb", cwd=tmp_path)
    assert code == 4
    assert line.startswith("ocifast: bomb: zstd offset ")
    assert "limit ratio is 512, reached " in line
    assert peak < 128 * MIB


@pytest.mark.parametrize("workers", ["0", "2"])
def test_memory_does_not_grow_with_the_layer(layers, tmp_path, workers) -> None:
    text = os.urandom(4 * MIB)
    layers.write("small", layers.tar(payload=text))
    layers.write("large", gzip.compress(layers.tar(payload=text * 24), 1))
    for name in ("small", "large"):
        code, complaints, peak = measured("hash", "--workers", workers, name, cwd=tmp_path)
        assert (code, complaints) == (0, [])
        assert peak < 96 * MIB


def test_many_bad_layers_do_not_use_up_anything(call, layers) -> None:
    """Each leaves its slots, lanes and descriptors behind for the next."""
    layers.write("bad", gzip.compress(b"text " * 500))
    layers.gzip("good")
    before = len(os.listdir("/proc/self/fd"))
    done = call("hash", "--workers", "0", *["bad"] * 2500, "good")
    assert (done.code, len(done.lines), len(done.complaints)) == (4, 1, 2500)
    assert len(os.listdir("/proc/self/fd")) == before


def test_many_layers_of_a_wrong_size_do_not_use_up_anything(call, layers) -> None:
    layers.gzip("good")
    listed = call("hash", "--json", "good").out
    layers.write("LIST", listed.replace(b'"size":', b'"size":1') * 2500 + listed)
    before = len(os.listdir("/proc/self/fd"))
    done = call("hash", "--workers", "0", "-c", "LIST")
    assert (done.code, done.lines[-1], done.lines.count("good: FAILED")) == (1, "good: OK", 2500)
    assert len(os.listdir("/proc/self/fd")) == before
