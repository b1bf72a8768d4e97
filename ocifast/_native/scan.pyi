from _typeshed import ReadableBuffer

from ocifast._native.sha256 import Sha256
from ocifast._native.tar import TarParser

def scan(
    tar: TarParser,
    diff: Sha256,
    plain: ReadableBuffer,
    blob: Sha256 | None = None,
    stored: ReadableBuffer | None = None,
) -> None: ...
