"""Docker and podman run squashed, flattened and rechunked images, and see what they saw before."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.engine_images import ANSWER, NAME
from support.engines import Client
from support.images import Sample, layout_files, write_folder

VERBS = {
    "squash": ["squash", "--from", "1"],
    "flatten": ["flatten"],
    "rechunk": ["rechunk", "--layers", "3"],
}


@pytest.mark.parametrize("verb", VERBS)
def test_an_engine_runs_what_was_made(
    engine: Client, ocifast: Callable[..., bytes], image: Sample, tmp_path: Path, verb: str
) -> None:
    layout = write_folder(tmp_path / "layout", layout_files(image))
    words = VERBS[verb]
    made = ocifast(*words, "--json", f"oci:{layout}", "-o", "docker-archive:out.tar")
    report = json.loads(made)
    engine("load", "--input", str(tmp_path / "out.tar"))
    assert engine.output_of(NAME) == ANSWER
    assert len(report["layers"]) < len(image.layers) or verb == "rechunk"
