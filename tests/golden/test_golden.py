"""Stored blobs are reproduced: recipes give the bytes they gave when they got their version.

A library that is not in the table cannot be judged, and a user who has a newer one must be able to
run the tests: only sameness over threads is checked then, and a warning says what to do.
"""

import functools
import hashlib
import warnings

import pytest
from golden import LARGE, SMALL, digests, key, make, read, rows

ROWS = rows()


class UnknownLibrary(UserWarning):
    """The table of digests does not have the library installed here."""


@pytest.fixture(scope="session")
def inputs():
    return {name: make(name) for name in SMALL + LARGE}


@functools.cache
def table():
    return read()


@pytest.mark.filterwarnings("default::test_golden.UnknownLibrary")
@pytest.mark.parametrize("chosen", ROWS, ids=lambda each: f"{each.name}-{each.level}")
def test_the_bytes_of_a_recipe_are_those_it_always_gave(chosen, inputs):
    found, known = digests(chosen, inputs, 2), table().get(key(chosen))
    if known is None:
        assert digests(chosen, inputs, 0) == found
        text = f"{key(chosen)} is not in digests.json; tests/golden/golden.py tells how to add it"
        warnings.warn(text, UnknownLibrary, stacklevel=1)
        return
    assert found.split() == known[str(chosen.level)].split(), (
        "other bytes than this recipe gave before: tests/golden/golden.py tells what to do"
    )


def test_the_inputs_themselves_have_not_changed(inputs):
    found = hashlib.sha256(b"".join(inputs.values())).hexdigest()
    assert found == "8577ffffdd913a10649341fb11d257528eec22d178d0da1eef814f91abe769bb"
