"""The encoders of seekable layers by the codec their recipes name, and what such a blob is.

Invariant: a codec that is not in the table follows no tar, and is none of this module's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ocifast.codecs.recipe import check_recipe
from ocifast.ops.estargz_encoder import EstargzEncoder
from ocifast.ops.seekable_encoder import SeekableEncoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocifast.codecs.encoder import Encoder
    from ocifast.codecs.recipe import Recipe

__all__ = ["STORED_AS", "open_seekable_encoder", "tar_of"]

STORED_AS: Final = {"zstd:chunked": "zstd", "estargz": "gzip"}
"""What other readers take the blobs for, and media types say."""


def open_seekable_encoder(
    chosen: Recipe, threads: int = 0, wake: Callable[[], object] | None = None
) -> Encoder:
    """Make an encoder of a recipe whose codec is in the table; it has `annotations` when done.

    Raises:
        UnknownRecipe: It is of another version of this package, or another library.
        KernelUnavailable: The library is not installed.
    """
    check_recipe(chosen)
    level = chosen.level or 0
    if chosen.codec == "zstd:chunked":
        return SeekableEncoder(level, threads, wake)
    return EstargzEncoder(str(chosen.library), level, threads, wake)


def tar_of(encoder: Encoder | None, entries: int) -> dict[str, Any]:
    """Give what is known of the tar in the blob, where it is another than went in."""
    if not isinstance(encoder, EstargzEncoder):
        return {}
    return {
        "diff_id": encoder.diff_id,
        "uncompressed_size": encoder.uncompressed_size,
        "entries": entries + encoder.added,
    }
