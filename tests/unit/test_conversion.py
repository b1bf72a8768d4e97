"""The values a conversion gives back: sums that count each blob once, and their JSON."""

import json

import pytest
from support.conversions import a_failure, a_layer, a_report, an_image, three_images


def test_an_image_counts_a_layer_it_has_twice_once() -> None:
    image = an_image("app", a_layer("a"), a_layer("a", how="shared"), a_layer("b"))
    assert (image.size_before, image.size_after) == (80_000_000, 60_000_000)
    assert image.ratio == 0.75
    assert image.shared_layers == 1


def test_layers_whose_source_has_no_digest_are_told_apart_by_their_diff_id() -> None:
    image = an_image("app", a_layer("a", source_digest=None), a_layer("b", source_digest=None))
    assert image.size_before == 80_000_000


def test_a_report_counts_what_images_share_once() -> None:
    report = three_images()
    assert (report.size_before, report.size_after) == (120_000_000, 100_000_000)
    assert (report.layers_distinct, report.layers_shared) == (3, 1)
    assert report.ratio == pytest.approx(100 / 120)


def test_a_report_with_a_failure_is_not_ok() -> None:
    report = three_images()
    assert not report.ok
    assert [image.source for image in report.failed] == ["broken.tar"]
    assert a_report(an_image("app")).ok


def test_an_image_without_layers_has_no_ratio() -> None:
    assert a_failure("broken", "no").ratio is None
    assert a_report().ratio is None


def test_the_dictionary_survives_json_and_says_its_schema() -> None:
    found = three_images().to_dict()
    assert json.loads(json.dumps(found)) == found
    assert found["schema"] == "ocifast.convert/1"
    assert (found["ok"], found["failed"]) == (False, 1)
    assert [image["error_type"] for image in found["images"]] == [None, None, "TarError"]
    assert found["images"][1]["layers"][1]["findings"] == ["odd"]
    assert found["images"][0]["size_after"] == 60_000_000
