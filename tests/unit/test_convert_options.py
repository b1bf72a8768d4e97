"""What a conversion's options come to: a recipe, by name or as reports write it."""

import pytest

from ocifast.codecs.recipe import RECIPES, recipe
from ocifast.errors import UnknownRecipe
from ocifast.ops.convert_options import ConvertOptions, recipe_of


@pytest.mark.parametrize("scheme", RECIPES, ids=lambda scheme: scheme.name)
def test_a_recipe_may_be_written_as_reports_write_it(scheme) -> None:
    chosen = recipe(scheme.codec, name=scheme.name)
    exact = chosen.identity.partition(" ")[0]
    for text in (chosen.name, chosen.identity, exact, exact.partition(":")[0]):
        assert recipe_of(ConvertOptions(recipe=text), "oci") == chosen


def test_the_level_of_an_identity_counts() -> None:
    found = recipe_of(ConvertOptions(recipe="gzip-zlib/1:level=9"), "docker-archive")
    assert found == recipe("gzip", name="gzip-zlib", level=9)


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("gzip-zlib/2", None),
        ("gzip-zlib/01", None),
        ("gzip-zlib/1:level=10", None),
        ("gzip-zlib/1:level=6", 5),
        ("gzip-zlib/1:level=6 (zlib 0.1)", None),
        ("gzip-zlib/1 (zlib 0.1)", None),
        ("none/1:level=1", None),
        ("gzip-best/1", None),
    ],
)
def test_an_identity_that_would_be_other_bytes_here_is_refused(text, level) -> None:
    with pytest.raises(UnknownRecipe):
        recipe_of(ConvertOptions(recipe=text, level=level), "oci")


def test_a_recipe_of_another_codec_than_was_asked_for_is_refused() -> None:
    with pytest.raises(UnknownRecipe, match="gzip-libdeflate"):
        recipe_of(ConvertOptions(compress="gzip", recipe="zstd-long/1"), "oci")
