"""What is expected of a blob is checked, or refused; never skipped."""

import pytest

from ocifast import Descriptor, LayerHasher, UnsupportedError, hash_layer


def test_a_digest_that_cannot_be_verified_is_refused_before_anything_is_read():
    expected = Descriptor(digest="sha512:" + "0" * 128)
    with pytest.raises(UnsupportedError, match="only sha256"):
        hash_layer(bytes(1024), expected=expected)
    with pytest.raises(UnsupportedError, match="only sha256"):
        LayerHasher(expected=expected)
