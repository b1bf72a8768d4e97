"""What a type checker sees of the public API. Run by `make types`, never imported."""

from typing import assert_type

import ocifast
from ocifast import Digest, LayerHasher, LayerReport, Limits, hash_layer, hash_layers

assert_type(ocifast.__version__, str)
assert_type(Limits().entries, int)
assert_type(hash_layer("layer.tar"), LayerReport)
assert_type(hash_layers(["a.tar", "b.tar.gz"], workers=2), list[LayerReport])

report = hash_layer("layer.tar.gz")
assert_type(report.digest, Digest)
assert_type(report.diff_id, Digest)
assert_type(report.size, int)
assert_type(report.uncompressed_size, int)
assert_type(report.entries, int)
assert_type(hash_layers([b""], return_exceptions=True), list[LayerReport | BaseException])
assert_type(LayerHasher().finish(), LayerReport)
assert_type(LayerHasher().state(), bytes)
