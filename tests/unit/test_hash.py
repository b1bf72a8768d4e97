"""hash_layer() and hash_layers(): expectations, limits, profiles and findings."""

import io
import tarfile

import pytest
from support.layers import LAYER, check, make_layer, make_tar, sha256, squeeze

from ocifast import Descriptor, Engine, Limits, hash_layer, hash_layers
from ocifast.errors import (
    CompressedDataError,
    DigestMismatch,
    LimitExceeded,
    OcifastError,
    SizeMismatch,
    TarError,
    UnknownCodec,
    UnsupportedError,
)

CODECS = ["plain", "gzip", "zstd"]
LAYERS = {codec: make_layer(codec, 11, 25, 30_000) for codec in CODECS}


@pytest.fixture
def gzip_path(tmp_path):
    path = tmp_path / "layer"
    path.write_bytes(LAYERS["gzip"].blob)
    return str(path)


@pytest.mark.parametrize("codec", CODECS)
def test_what_is_expected_and_there_is_accepted(codec):
    layer = LAYERS[codec]
    expected = Descriptor(layer.media_type, layer.digest, len(layer.blob))
    check(hash_layer(layer.blob, expected=expected), layer)
    check(hash_layer(iter([layer.blob]), expected=expected), layer)


def test_a_size_that_cannot_match_fails_before_a_byte_is_read(tmp_path, monkeypatch):
    """A sparse file of a TB would take an hour."""
    path = tmp_path / "large"
    with open(path, "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(SizeMismatch) as caught:
        hash_layer(path, expected=Descriptor(size=1000))
    assert (caught.value.expected, caught.value.actual) == (1000, 1 << 40)
    with pytest.raises(SizeMismatch):
        hash_layer(bytes(5000), expected=Descriptor(size=4999))


def test_a_stream_longer_than_expected_is_not_read_to_its_end():
    given = []

    def endless():
        yield LAYERS["plain"].blob
        while True:
            given.append(1)
            yield bytes(1 << 20)

    with pytest.raises(SizeMismatch):
        hash_layer(endless(), expected=Descriptor(size=len(LAYERS["plain"].blob)))
    assert len(given) <= 2


def test_a_stream_shorter_than_expected_fails_at_its_end():
    with pytest.raises(SizeMismatch):
        hash_layer(iter([LAYERS["plain"].blob]), expected=Descriptor(size=1 << 30))


@pytest.mark.parametrize("codec", CODECS)
def test_another_digest_fails_and_names_both(codec):
    layer = LAYERS[codec]
    with pytest.raises(DigestMismatch) as caught:
        hash_layer(layer.blob, expected=Descriptor(digest=sha256(b"other")))
    assert caught.value.expected == sha256(b"other")
    assert caught.value.actual == layer.digest


def test_a_digest_of_another_algorithm_is_refused_not_skipped():
    with pytest.raises(UnsupportedError, match="only sha256"):
        hash_layer(LAYERS["plain"].blob, expected=Descriptor(digest="sha512:" + "0" * 128))


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_z07_a_media_type_of_another_codec_is_refused_in_strict_and_found_in_compat(codec):
    layer, expected = LAYERS[codec], Descriptor(media_type=LAYER)
    with pytest.raises(CompressedDataError, match="promises identity"):
        hash_layer(layer.blob, expected=expected, profile="strict")
    report = hash_layer(layer.blob, expected=expected)
    assert [(each.code, each.stream) for each in report.findings] == [("media-type", "blob")]
    assert report.finding_count == 1
    assert report.media_type == layer.media_type


def test_z07_a_plain_tar_promised_to_be_gzip_is_refused_in_strict():
    with pytest.raises(CompressedDataError):
        hash_layer(
            LAYERS["plain"].blob, expected=Descriptor(media_type=LAYER + "+gzip"), profile="strict"
        )


def test_an_unknown_media_type_promises_nothing():
    expected = Descriptor(media_type="application/vnd.other")
    assert hash_layer(LAYERS["zstd"].blob, expected=expected, profile="strict").findings == ()


def test_each_source_has_its_own_expectation():
    layers = list(LAYERS.values())
    expected = [Descriptor(digest=layer.digest) for layer in layers]
    hash_layers([layer.blob for layer in layers], expected=[None, *expected[1:]])
    found = hash_layers(
        [layer.blob for layer in layers], expected=expected[::-1], return_exceptions=True
    )
    assert [type(each).__name__ for each in found] == [
        "DigestMismatch",
        "LayerReport",
        "DigestMismatch",
    ]
    with pytest.raises(ValueError, match="2 expected descriptors for 3 sources"):
        hash_layers([layer.blob for layer in layers], expected=expected[:2])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("name", "limits"),
    [("entries", Limits(entries=5)), ("output_bytes", Limits(output_bytes=5000))],
)
def test_limits_reach_the_workers(name, limits, workers, gzip_path, no_job_is_small):
    with pytest.raises(LimitExceeded) as caught:
        hash_layers([gzip_path], limits=limits, workers=workers)
    assert caught.value.name == name
    assert caught.value.__notes__ == [f"while reading {gzip_path}"]


@pytest.mark.parametrize("workers", [0, 2])
def test_more_findings_than_are_kept_are_counted(workers, tmp_path, no_job_is_small):
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for _ in range(500):
            tar.addfile(tarfile.TarInfo("the same path again"))
    (tmp_path / "tar").write_bytes(target.getvalue())
    few, many = (
        hash_layers([tmp_path / "tar"], workers=workers, limits=Limits(findings=kept))[0]
        for kept in (7, 5000)
    )
    assert few.finding_count == many.finding_count >= 499
    assert len(few.findings) == 7
    assert len(many.findings) == many.finding_count
    assert many.findings[:7] == few.findings


def test_unknown_codecs_are_refused_by_name():
    for name, head in {"xz": b"\xfd7zXZ\0", "bzip2": b"BZh91AY&SY"}.items():
        with pytest.raises(UnknownCodec, match=name):
            hash_layer(head + bytes(1000))


@pytest.mark.parametrize("profile", ["strict", "compat"])
def test_an_empty_source_is_refused(profile):
    for source in (b"", io.BytesIO(), iter([]), [b"", b""]):
        with pytest.raises(OcifastError):
            hash_layer(source, profile=profile)


@pytest.mark.parametrize("codec", CODECS)
def test_a_layer_cut_at_any_byte_is_refused_in_strict(codec):
    blob = squeeze(make_tar(1, 2, 600), codec)
    end = len(blob.rstrip(b"\0")) + 1024 if codec == "plain" else len(blob)
    found = hash_layers(
        [blob[:at] for at in range(0, end, 37)], profile="strict", return_exceptions=True, workers=0
    )
    for error in found:
        assert isinstance(error, (TarError, CompressedDataError))
        assert "\n" not in str(error)


def test_workers_and_an_engine_together_are_refused():
    with Engine(0) as engine, pytest.raises(ValueError, match="not both"):
        hash_layers([b""], workers=1, engine=engine)
