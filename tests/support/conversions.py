"""Made-up results of a conversion, for what shows them."""

from hashlib import sha256
from typing import Any

from ocifast.ops.conversion import ConvertedImage, ConvertedLayer, ConvertReport

ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"


def digest_of(name: str) -> str:
    return f"sha256:{sha256(name.encode(errors='surrogateescape')).hexdigest()}"


def a_layer(name: str, **fields: Any) -> ConvertedLayer:
    """A layer of 100 MB, stored in 40 MB before and 30 MB after."""
    values = {
        "diff_id": digest_of(name),
        "source_digest": digest_of(f"{name} before"),
        "source_size": 40_000_000,
        "uncompressed_size": 100_000_000,
        "media_type": ZSTD,
        "digest": digest_of(f"{name} after"),
        "size": 30_000_000,
        "recipe": "zstd-1",
        "how": "compressed",
        "seconds": 0.5,
    }
    return ConvertedLayer(**(values | fields))


def an_image(name: str, *layers: ConvertedLayer, **fields: Any) -> ConvertedImage:
    values = {
        "source": f"{name}.tar",
        "names": (f"{name}:1",),
        "platform": "linux/amd64",
        "destination": f"oci:out:{name}:1",
        "digest": digest_of(f"{name} manifest"),
        "image_id": digest_of(f"{name} config"),
        "layers": layers,
        "seconds": 2.5,
    }
    return ConvertedImage(**(values | fields))


def a_failure(name: str, error: str) -> ConvertedImage:
    return an_image(
        name,
        names=(),
        platform=None,
        digest=None,
        image_id=None,
        error=error,
        error_type="TarError",
        exit_code=4,
        seconds=0.25,
    )


def a_report(*images: ConvertedImage) -> ConvertReport:
    return ConvertReport(images, 4.0, 2, "zstd-1", bytes_read=120_000_000, bytes_written=90_000_000)


def three_images() -> ConvertReport:
    """Two that share a layer, and one that failed."""
    base = a_layer("base")
    return a_report(
        an_image("app", base, a_layer("app")),
        an_image(
            "registry.example/team/tool",
            a_layer("base", how="shared", seconds=0.0),
            a_layer("tool", how="hardlinked", recipe=None, size=40_000_000, findings=("odd",)),
        ),
        a_failure("broken", "tar offset 512: the header's checksum is wrong"),
    )
