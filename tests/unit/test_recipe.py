"""Recipes: what can be chosen, how they are named, and that they cross to another process whole."""

import dataclasses
import json

import pytest

from ocifast.codecs import recipe as module
from ocifast.codecs.recipe import RECIPES, Recipe, open_encoder, recipe
from ocifast.errors import KernelUnavailable, UnknownRecipe, UnsupportedError

ALL = [
    recipe(scheme.codec, level=level, name=scheme.name)
    for scheme in RECIPES
    for level in scheme.levels or (None,)
]


def test_the_first_of_a_codec_is_its_default():
    for codec in ("gzip", "zstd", "identity"):
        first = next(scheme for scheme in RECIPES if scheme.codec == codec)
        assert recipe(codec).name == first.name
        assert recipe(codec).level == first.level
        assert recipe(codec) == recipe(codec, name=first.name, level=first.level)


def test_none_is_what_people_call_identity():
    assert recipe("none") == recipe("identity")


def test_identities_are_unique_and_say_level_and_library():
    assert len({each.identity for each in ALL}) == len(ALL)
    found = recipe("gzip", level=6)
    assert found.identity == f"gzip-libdeflate/2:level=6 (deflate {found.library_version})"
    assert recipe("zstd").identity.startswith("zstd-long/1:level=2 (libzstd 1.")
    assert recipe("none").identity == "none/1"
    fast = recipe("gzip", name="gzip-isal").identity
    assert fast.startswith("gzip-isal/1:level=1 (isal ")
    assert fast.endswith(", other bytes on other CPUs)")


@pytest.mark.parametrize("chosen", ALL, ids=lambda each: each.identity)
def test_a_recipe_survives_json(chosen):
    assert Recipe.from_dict(json.loads(json.dumps(chosen.to_dict()))) == chosen


@pytest.mark.parametrize(
    ("arguments", "valid"),
    [
        ({"codec": "xz"}, "gzip, zstd, none"),
        ({"codec": "gzip", "level": 13}, "1 to 12"),
        ({"codec": "gzip", "level": 0}, "1 to 12"),
        ({"codec": "zstd", "level": 20}, "1 to 19"),
        ({"codec": "zstd", "level": -1}, "1 to 19"),
        ({"codec": "none", "level": 1}, "without one"),
        ({"codec": "gzip", "name": "zstd-long"}, "gzip-libdeflate"),
        ({"codec": "zstd", "name": "zstd"}, "zstd-long"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(arguments, valid):
    with pytest.raises(UnknownRecipe) as caught:
        recipe(**arguments)
    assert valid in str(caught.value)
    assert isinstance(caught.value, UnsupportedError)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "change", [{"version": 99}, {"library_version": "0.0"}, {"block_size": 4096}]
)
def test_a_recipe_that_would_give_other_bytes_here_is_refused(change):
    with pytest.raises(UnknownRecipe):
        open_encoder(dataclasses.replace(recipe("gzip"), **change))


def test_a_missing_library_is_named(monkeypatch):
    def missing(name):
        raise module.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(module.importlib.metadata, "version", missing)
    with pytest.raises(KernelUnavailable, match="deflate"):
        recipe("gzip")


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        RECIPES[0] = None
    with pytest.raises(AttributeError):
        RECIPES[0].level = 9
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe("none").level = 1
