"""Names that remove things: what is one, and of what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocifast.tree import hidden_path, is_aufs_path, is_opaque_path, is_whiteout_path

COMPONENTS = st.sampled_from(
    [b"", b".", b"a", b".wh.", b".wh.a", b".wh..wh..opq", b".wh..wh.plnk", b".wh..wh.aufs", b"\xff"]
)


@pytest.mark.parametrize(
    ("path", "hidden"),
    [
        (b".wh.a", b"a"),
        (b"./d/.wh.a", b"d/a"),
        (b"/d//.wh.a/", b"d/a"),
        (b"d/.wh..wh..opq", b"d"),
        (b".wh..wh..opq", b""),
        (b"d/.wh..a", b"d/.a"),
    ],
)
def test_a_whiteout_hides_its_path(path: bytes, hidden: bytes) -> None:
    assert is_whiteout_path(path)
    assert hidden_path(path) == hidden


@pytest.mark.parametrize("path", [b"", b"a", b"a.wh.b", b".wh.a/b", b".wh..wh.plnk", b".w", b"."])
def test_other_paths_hide_nothing(path: bytes) -> None:
    assert not is_whiteout_path(path)
    with pytest.raises(ValueError, match="not a whiteout"):
        hidden_path(path)


@given(st.lists(COMPONENTS, max_size=4).map(b"/".join))
def test_a_path_is_one_thing_only(path: bytes) -> None:
    assert not (is_aufs_path(path) and is_whiteout_path(path))
    assert is_whiteout_path(path) or not is_opaque_path(path)
