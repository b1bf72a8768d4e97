"""Report files: JSON and the page, whole or not at all, and inert whatever images are called."""

import json
import os
import re
import stat
import threading
from html.parser import HTMLParser

import pytest
from support.conversions import a_failure, a_layer, a_report, an_image, three_images

from ocifast.cli import whole_file as module
from ocifast.cli.report import write_report
from ocifast.cli.report_charts import MOST_ROWS
from ocifast.cli.report_page import report_page
from ocifast.cli.report_style import SCRIPT, STYLE
from ocifast.cli.whole_file import check_path

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x=\'',
    "' onfocus='alert(1)",
    "</style><svg/onload=alert(1)>",
    "<!--",
    "]]>",
    "&lt;script&gt;",
    "a\x00\x1b[31m\n\u202e\udcff",
    "{{7*7}}${7*7}",
]
VOID = {"meta", "input", "br"}
ELEMENTS = set(
    re.findall(
        r"\w+",
        "html head meta title style body main header h1 h2 p code section footer script "
        "dl div dt dd strong span small ul li br svg rect table thead tbody tr th td "
        "input label button output",
    )
)


class Page(HTMLParser):
    """Reads a page, and minds that elements are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.comments: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), (tag, names)
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def count(self, tag: str) -> int:
        return sum(found == tag for found, _ in self.elements)


def hostile_report(text: str):
    layer = a_layer(
        "a",
        diff_id=text,
        source_digest=text,
        digest=text,
        media_type=text,
        recipe=text,
        how=text,
        findings=(text,),
    )
    image = an_image(
        "a",
        layer,
        source=text,
        names=(text,),
        platform=text,
        destination=text,
        digest=text,
        image_id=text,
    )
    failure = a_failure("b", text)
    return a_report(image, failure)


def test_a_report_is_json_unless_its_name_ends_in_html(tmp_path) -> None:
    report = three_images()
    for name in ("report.json", "report", "html"):
        write_report(report, str(tmp_path / name))
        assert json.loads((tmp_path / name).read_text()) == report.to_dict()
    for name in ("report.html", "REPORT.HTML"):
        write_report(report, str(tmp_path / name))
        assert (tmp_path / name).read_text().startswith("<!doctype html>")


def test_names_that_are_not_utf8_survive_in_json(tmp_path) -> None:
    path = tmp_path / "report.json"
    write_report(a_report(an_image("a", source="\udcff.tar")), str(path))
    assert json.loads(path.read_bytes())["images"][0]["source"] == "\udcff.tar"


def test_a_report_replaces_an_older_one_through_a_link_and_leaves_nothing_else(tmp_path) -> None:
    (tmp_path / "old.json").write_text("old")
    (tmp_path / "link.json").symlink_to("old.json")
    write_report(three_images(), str(tmp_path / "link.json"))
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "old.json").read_text())["schema"] == "ocifast.convert/1"
    assert sorted(os.listdir(tmp_path)) == ["link.json", "old.json"]


def test_a_report_is_as_readable_as_any_new_file(tmp_path) -> None:
    (tmp_path / "other").write_text("")
    write_report(three_images(), str(tmp_path / "report.html"))
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("other", "report.html")}
    assert len(modes) == 1


def test_a_report_that_cannot_be_written_leaves_the_older_one(tmp_path, monkeypatch) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_report(three_images(), str(path))
    assert caught.value.filename == str(path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.json"]


def test_a_report_goes_into_a_pipe_too(tmp_path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    check_path(str(path))
    found = []
    reader = threading.Thread(target=lambda: found.append(path.read_text()))
    reader.start()
    write_report(three_images(), str(path))
    reader.join(timeout=30)
    assert json.loads(found[0])["ok"] is False


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("missing/report.json", FileNotFoundError),
        ("file/report.json", NotADirectoryError),
        ("folder", IsADirectoryError),
    ],
)
def test_a_path_that_cannot_become_a_report_is_found_out_before(tmp_path, name, error) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(error) as caught:
        check_path(str(tmp_path / name))
    assert caught.value.filename == str(tmp_path / name)
    check_path(str(tmp_path / "report.json"))
    assert not (tmp_path / "report.json").exists()


def test_the_page_has_figures_charts_and_a_table() -> None:
    text = report_page(three_images())
    page = Page(text)
    words = " ".join(page.texts)
    for expected in (
        "2 of 3 images converted",
        "Size before and after",
        "Where layers came from",
        "Time per layer",
        "broken.tar",
        "the header's checksum is wrong",
        "tolerated: odd",
        "registry.example/team/tool:1",
    ):
        assert expected in words, expected
    assert {tag for tag, _ in page.elements} <= ELEMENTS
    classes = [values.get("class") for tag, values in page.elements if tag == "tbody"]
    assert (classes.count("done"), classes.count("failed")) == (2, 1)


def test_the_page_needs_no_network() -> None:
    page = Page(report_page(three_images()))
    for _, values in page.elements:
        assert not {"src", "href", "srcset", "action", "data", "style"} & set(values)
    assert not re.search(r"https?:|//|@import|url\(|fetch|XMLHttp|innerHTML|eval", SCRIPT + STYLE)


def test_the_page_allows_its_own_script_and_style_and_no_other() -> None:
    page = Page(report_page(three_images()))
    (policy,) = (
        values["content"] for _, values in page.elements if values.get("http-equiv") is not None
    )
    assert re.fullmatch(
        r"default-src 'none'; script-src 'sha256-[\w+/=]{44}'; style-src 'sha256-[\w+/=]{44}'",
        policy,
    )
    assert "</" not in SCRIPT + STYLE
    text = report_page(three_images())
    assert f"<script>{SCRIPT}</script>" in text
    assert f"<style>{STYLE}</style>" in text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_inert_in_the_page(text) -> None:
    written = report_page(hostile_report(text))
    page = Page(written)
    harmless = Page(report_page(hostile_report("harmless")))
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in harmless.elements]
    assert [set(values) for _, values in page.elements] == [
        set(values) for _, values in harmless.elements
    ]
    assert page.comments == []
    assert page.count("script") == page.count("style") == 1
    assert written.encode().decode().replace("\n", "").isprintable()


def test_charts_of_many_images_say_what_they_leave_out() -> None:
    images = [an_image(f"app{n}", a_layer(f"layer{n}")) for n in range(MOST_ROWS + 7)]
    page = Page(report_page(a_report(*images)))
    assert page.texts.count("and 7 with less, in the table below") == 3
    assert sum(values.get("class") == "image" for _, values in page.elements) == len(images)


def test_a_run_without_any_layer_makes_a_page_too() -> None:
    for report in (a_report(), a_report(an_image("a")), a_report(a_failure("a", "no"))):
        Page(report_page(report))
    empty = a_layer("a", source_size=0, size=0, uncompressed_size=0, seconds=0.0)
    Page(report_page(a_report(an_image("a", empty))))


def test_bars_stay_within_their_chart() -> None:
    page = Page(report_page(three_images()))
    for tag, values in page.elements:
        if tag == "rect" and "x" in values:
            assert float(values["x"].rstrip("%")) + float(values["width"].rstrip("%")) <= 100.001
