"""What each recipe gives for inputs anybody can make again: `digests.json`, and how it is made.

    PYTHONPATH=tests python tests/golden/golden.py --write

adds the libraries installed here. A digest that differs for a library that is already in the table
means that stored blobs are no longer reproduced: raise the version of the recipe in
`ocifast/codecs/recipe.py`, say so in CHANGELOG.md under **Bytes**, and write the table again.

The table: recipe and library -> level -> for each input, in order, 16 hex digits of the SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from support.encoding import encode, noise, pieces, tar_like, text

from ocifast.codecs.recipe import RECIPES, Recipe, recipe

TABLE = Path(__file__).with_name("digests.json")
MIB = 1 << 20

SMALL = ("empty", "one-byte", "block", "block-and-one", "noise", "tar")
LARGE = ("two-blocks", "zeros", "large-tar")
"""Only for the default level: high ones take seconds for each megabyte."""


def make(name: str) -> bytes:
    """One input; the large tar is longer than two jobs of zstd and than its window."""
    return {
        "empty": lambda: b"",
        "one-byte": lambda: b"x",
        "block": lambda: text("golden", MIB),
        "block-and-one": lambda: text("golden", MIB + 1),
        "noise": lambda: noise("golden", 200_000),
        "tar": lambda: tar_like("golden", MIB + 234_567),
        "two-blocks": lambda: text("golden", 2 * MIB),
        "zeros": lambda: bytes(3 * MIB),
        "large-tar": lambda: tar_like("golden", 21 * MIB + 77),
    }[name]()


def rows() -> list[Recipe]:
    """Every level of every recipe that gives the same bytes on every CPU."""
    return [
        recipe(scheme.codec, level=level, name=scheme.name)
        for scheme in RECIPES
        if scheme.portable
        for level in scheme.levels or (None,)
    ]


def key(chosen: Recipe) -> str:
    """The line of the table a recipe is in, its level aside."""
    return f"{chosen.name}/{chosen.version} ({chosen.library} {chosen.library_version})"


def inputs_of(chosen: Recipe) -> tuple[str, ...]:
    return SMALL + LARGE if chosen == recipe(chosen.codec, name=chosen.name) else SMALL


def digests(chosen: Recipe, inputs: dict[str, bytes], threads: int) -> str:
    """What a recipe gives now."""
    blobs = (encode(chosen, pieces(inputs[name]), threads) for name in inputs_of(chosen))
    return " ".join(hashlib.sha256(blob).hexdigest()[:16] for blob in blobs)


def read() -> dict[str, dict[str, str]]:
    """The table."""
    found: dict[str, dict[str, str]] = json.loads(TABLE.read_text())
    return found


def write() -> None:
    """Add what is installed here to the table, or put it right."""
    table = read() if TABLE.exists() else {}
    inputs = {name: make(name) for name in SMALL + LARGE}
    for chosen in rows():
        table.setdefault(key(chosen), {})[str(chosen.level)] = digests(chosen, inputs, 2)
    TABLE.write_text(json.dumps(table, indent=1, sort_keys=False) + "\n")


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    write()
