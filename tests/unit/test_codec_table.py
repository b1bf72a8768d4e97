"""Sniffing and opening: bytes decide, and what is not read is refused by name."""

import bz2
import gzip
import lzma
import tarfile
from io import BytesIO

import pytest
from codec_kit import make_gzip, make_zstd
from zstd_frames import skippable

from ocifast.codecs import CODECS, SNIFF_BYTES, open_decoder, sniff
from ocifast.errors import UnknownCodec
from ocifast.limits import DEFAULT_LIMITS


def tar_with(name):
    file = BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    return file.getvalue()


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (make_gzip(b"x"), "gzip"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"\x1f\x8b", "identity"),
        (b"\x1f\x8b\x07" + bytes(20), "identity"),
        (make_zstd(b"x"), "zstd"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\x28\xb5\x2f", "identity"),
        (skippable(b"", 0), "zstd"),
        (skippable(b"abc", 15), "zstd"),
        (skippable(b"")[:7], "identity"),
        (b"\x60" + skippable(b"")[1:], "identity"),
        (bz2.compress(b"x"), "bzip2"),
        (bz2.compress(b""), "bzip2"),
        (lzma.compress(b"x"), "xz"),
        (tar_with("etc/hosts"), "identity"),
        (tar_with("BZh9 is a name"), "identity"),
        (bytes(1024), "identity"),
        (b"", "identity"),
    ],
)
def test_z07_bytes_decide_and_as_many_as_promised_suffice(head, name):
    assert sniff(head) == sniff(head[:SNIFF_BYTES]) == name


@pytest.mark.parametrize("name", ["bzip2", "xz", "lz4", ""])
def test_z10_other_compressions_are_refused_by_name(name):
    with pytest.raises(UnknownCodec) as caught:
        open_decoder(name)
    assert caught.value.args == (name,)


def test_z10_the_table_is_small_and_closed():
    assert list(CODECS) == ["identity", "gzip", "zstd"]
    with pytest.raises(TypeError):
        CODECS["xz"] = CODECS["gzip"]


def test_z01_one_layer_of_compression_is_undone():
    twice = make_gzip(make_gzip(b"x"))
    decoder = open_decoder("gzip", DEFAULT_LIMITS, "strict")
    decoder.feed(twice)
    out = memoryview(bytearray(100))
    assert gzip.decompress(bytes(out[: decoder.readinto(out)])) == b"x"
