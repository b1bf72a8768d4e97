"""The page of a diff: inert whatever files are called, bounded in memory, and right in its sums."""

import json
import re
import tracemalloc
from html.parser import HTMLParser
from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocifast.cli import treemap
from ocifast.cli.diff_page import FIRST_ROWS, MARKS, MOST_ROWS, PageRow, page
from ocifast.cli.diff_page_script import SCRIPT
from ocifast.cli.diff_page_style import STYLE
from ocifast.cli.output import shown
from ocifast.cli.quantity import size_text
from ocifast.cli.treemap import MOST_CELLS, Growth, Rect, drawn, squarified

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "-->",
    "]]>",
    "<img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x=\'',
    "' onfocus='alert(1)",
    "</style></title></svg><svg/onload=alert(1)>",
    "&lt;script&gt;&amp;",
    "\udcff\udc80 lone \ud800",
    "line\nfeed\r\ttab\x00\x1b[31m",
    "\u2028\u2029\u202e\ufeff",
    "\\u003c\\",
]
VOID = {"meta", "input", "rect"}
MINUS = "\u2212"


class Page(HTMLParser):
    """Reads a page, and minds that elements are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.comments: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), (tag, names)
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.setdefault(self.open[-1] if self.open else "", []).append(data)

    def handle_comment(self, data):
        self.comments.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def words(self):
        return " ".join(" ".join(texts) for texts in self.texts.values())


def made(rows, notes=(), titles=("app:1", "app:2")):
    return "".join(page(*titles, rows, notes))


def data_of(text):
    (data,) = re.findall(
        r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL
    )
    return json.loads(data)


def added(path, size):
    return PageRow("A", path, "", 0, size, ())


SAMPLE = [
    added("usr/lib/new.so", 5_000_000),
    PageRow("M", "usr/bin/tool", "", 1_000_000, 400_000, ("content", "mode")),
    PageRow("M", "etc/shadow", "", 700, 700, ("mode", "owner")),
    PageRow("D", "opt/old", "", 2_000_000, 0, ()),
    PageRow("R", "srv/b", "srv/a", 1000, 1500, ("content",)),
]


# ---- names ----


@pytest.mark.parametrize("text", HOSTILE)
def test_a_name_cannot_end_the_script_or_become_markup(text) -> None:
    row = PageRow("R", f"a/{text}/b", text, 10, 5000, (text,))
    whole = made([row, added(text, 70)], [text], (text, text))
    whole.encode("utf-8", "strict")
    plain = made([PageRow("R", "a/x/b", "x", 10, 5000, ("x",)), added("x", 70)], ["x"], ("x", "x"))
    found, expected = Page(whole), Page(plain)
    assert [tag for tag, _ in found.elements] == [tag for tag, _ in expected.elements]
    for (tag, ours), (_, theirs) in zip(found.elements, expected.elements, strict=True):
        assert list(ours) == list(theirs), tag
        assert not any(name.startswith("on") or name == "style" for name in ours)
    assert found.comments == []
    escaped = shown(text)
    assert data_of(whole) == [
        ["R", f"a/{escaped}/b", escaped, 10, 5000, escaped],
        ["A", escaped, "", 0, 70, ""],
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_the_embedded_rows_are_ascii_without_a_character_of_markup(text) -> None:
    whole = made([PageRow("R", text, text, 1, 2, (text,))])
    data = whole.partition('id="data">')[2].partition("</script>")[0]
    assert data.isascii()
    assert not set(data) & set("<>&")


def test_names_that_cannot_be_shown_are_shown_as_escapes() -> None:
    assert r"<code>bad\377\012name</code>" not in made([added("bad\udcff\nname", 1)])
    assert r"<code>bad\377\nname</code>" in made([added("bad\udcff\nname", 1)])


def test_a_renamed_file_shows_both_names() -> None:
    assert "<code>srv/a</code> \u21d2 <code>srv/b</code>" in made(SAMPLE)


# ---- what the page says ----


def test_totals_count_every_row() -> None:
    found = re.findall(r"<dt>(\w+)</dt><dd><strong>(.*?)</strong><span>(.*?)</span>", made(SAMPLE))
    assert found == [
        ("Net", "+2.4 MB", "5 changes"),
        ("Grown", "+5.0 MB", "all gains"),
        ("Shrunk", f"{MINUS}2.6 MB", "all losses"),
        ("Added", "1", "+5.0 MB"),
        ("Modified", "2", f"{MINUS}600.0 kB"),
        ("Deleted", "1", f"{MINUS}2.0 MB"),
        ("Renamed", "1", "+500 B"),
    ]


def test_rows_stand_with_the_largest_change_first() -> None:
    deltas = [abs(after - before) for _, _, _, before, after, _ in data_of(made(SAMPLE))]
    assert deltas == sorted(deltas, reverse=True)
    assert len(deltas) == len(SAMPLE)


def test_titles_and_notes_stand_above() -> None:
    page_ = Page(made(SAMPLE, ["Layers were skipped.", "So was <this>."], ("one:1", "two:2")))
    for expected in ("one:1", "two:2", "Layers were skipped.", "So was <this>."):
        assert expected in page_.words(), expected


def test_an_empty_diff_is_a_page_too() -> None:
    text = made([])
    words = Page(text).words()
    assert "0 changes" in words
    assert "No file has another size than before." in words
    assert data_of(text) == []
    assert 'id="map"' not in text


def test_changes_that_change_no_size_leave_the_treemap_out() -> None:
    text = made([PageRow("M", "etc/shadow", "", 700, 700, ("mode",))])
    assert 'id="map"' not in text
    assert data_of(text) == [["M", "etc/shadow", "", 700, 700, "mode"]]


def test_a_mark_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(KeyError):
        made([PageRow("X", "a", "", 0, 1, ())])


def test_without_the_script_the_first_rows_are_there() -> None:
    text = made(added(f"f{number}", number) for number in range(FIRST_ROWS + 10))
    body = text.partition("<tbody>")[2].partition("</tbody>")[0]
    assert body.count("<tr>") == FIRST_ROWS
    assert "<noscript>" in text
    assert "<noscript>" not in made(SAMPLE)


# ---- the network ----


def test_the_page_loads_nothing() -> None:
    text = made(SAMPLE)
    assert not re.search(r"https?:|//[a-z]|url\(|@import|\b(src|href|srcset|action)=", text)
    assert {tag for tag, _ in Page(text).elements}.isdisjoint({"link", "a", "img", "iframe"})


def test_the_page_forbids_everything_but_its_own_script_and_style() -> None:
    text = made(SAMPLE)
    policies = [tag for tag in Page(text).all("meta") if "http-equiv" in tag]
    assert [tag["http-equiv"] for tag in policies] == ["Content-Security-Policy"]
    policy = policies[0]["content"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "</script" not in SCRIPT.lower()
    assert "<!--" not in SCRIPT
    assert "</style" not in STYLE.lower()
    assert f"<script>{SCRIPT}</script>" in text
    assert "innerHTML" not in SCRIPT


def test_every_input_is_labelled_and_every_column_has_a_scope() -> None:
    text = made(SAMPLE)
    page_ = Page(text)
    assert page_.all("html") == [{"lang": "en"}]
    assert {head["scope"] for head in page_.all("th")} == {"col"}
    search, *boxes = page_.all("input")
    assert search["aria-label"]
    assert [box["value"] for box in boxes] == list(MARKS)
    assert text.count("<label><input") == len(boxes)


# ---- many rows ----


def many(count):
    for number in range(count):
        path = f"usr/share/{number % 997:03d}/{number // 997 % 101}/directory-{number}/a-file-of-it"
        yield PageRow(
            "AMD"[number % 3], path, "", number * 7 % 5003, number * 11 % 7001, ("content",)
        )


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """The page of 200,000 rows in as many directories, and the most memory it took."""
    path, longest = tmp_path_factory.mktemp("page") / "diff.html", 0
    with path.open("w", encoding="utf-8") as file:
        tracemalloc.start()
        try:
            for piece in page("a", "b", many(200_000), []):
                file.write(piece)
                longest = max(longest, len(piece))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    return path.read_text(), peak, longest


def test_memory_is_bounded_by_what_is_kept(crowded) -> None:
    _, peak, longest = crowded
    assert peak < 64 << 20
    assert longest < 64 << 10


def test_rows_left_out_are_said_and_still_counted(crowded) -> None:
    text = crowded[0]
    assert len(data_of(text)) == MOST_ROWS == 20_000
    assert "180,000 more were left out of it" in text
    assert "200,000 changes" in text
    grown = sum(max(row.delta, 0) for row in many(200_000))
    assert f"<strong>+{size_text(grown)}</strong>" in text
    assert "were left out" not in made(SAMPLE)


def test_the_rows_kept_are_those_that_changed_most(crowded) -> None:
    largest = sorted((abs(row.delta) for row in many(200_000)), reverse=True)[:MOST_ROWS]
    assert [abs(row[4] - row[3]) for row in data_of(crowded[0])] == largest


def test_of_equal_changes_those_that_came_first_are_kept() -> None:
    rows = data_of(made(added(f"f{number}", 5) for number in range(MOST_ROWS + 50)))
    assert [row[1] for row in rows] == [f"f{number}" for number in range(MOST_ROWS)]


def test_cells_are_bounded_and_the_rest_is_shown_as_other(crowded) -> None:
    text = crowded[0]
    others = text.count('<svg class="cell other')
    assert 0 < text.count('<svg class="cell ') - others <= MOST_CELLS
    assert others <= MOST_CELLS


# ---- growth by directory ----


def flat(tile):
    yield tile
    for inner in tile.tiles:
        yield from flat(inner)


def grown_by(changes, files=(), **options):
    growth = Growth(**options)
    for path, delta in changes:
        growth.add(path, delta)
    return growth.tiles(files)


def test_a_directory_counts_all_that_is_below_it() -> None:
    root = grown_by([("a/b/x", 5), ("a/b/y", -3), ("a/z", 10), ("a/c/d", 1), ("top", 2)])
    assert (root.grown, root.shrunk) == (18, 3)
    found = {(tile.path, tile.kind): (tile.grown, tile.shrunk) for tile in flat(root)}
    assert found == {
        ("", "folder"): (18, 3),
        ("", "other"): (2, 0),
        ("a", "folder"): (16, 3),
        ("a", "other"): (10, 0),
        ("a/b", "folder"): (5, 3),
        ("a/c", "folder"): (1, 0),
    }


def test_a_large_file_has_a_tile_of_its_own() -> None:
    root = grown_by([("a/big", 90), ("a/small", 1)], [("a/big", 90)])
    (folder,) = root.tiles
    assert [(tile.name, tile.kind, tile.weight) for tile in folder.tiles] == [
        ("big", "file", 90),
        ("(other)", "other", 1),
    ]


def test_a_file_and_a_directory_of_one_name_are_two_tiles() -> None:
    root = grown_by([("a", -40), ("a/b", 30)], [("a", -40)])
    assert sorted((tile.path, tile.kind) for tile in root.tiles) == [("a", "file"), ("a", "folder")]


def test_directories_that_hold_one_thing_are_one_tile_with_a_longer_name() -> None:
    root = grown_by([("usr/lib/python3/x", 5), ("usr/lib/python3/y", 5)])
    assert [(tile.name, tile.path) for tile in root.tiles] == [("usr/lib/python3",) * 2]


@pytest.mark.parametrize("most", [0, 1, 3, 4, 100])
def test_what_is_too_deep_is_counted_above_in_every_order(most) -> None:
    changes = [("a/b/c/x", 8), ("a/b/y", -4), ("d/e/z", 2), ("w", 1)]
    trees = {grown_by(order, most=most) for order in permutations(changes)}
    sums = {
        tuple(sorted((t.path, t.kind, t.grown, t.shrunk) for t in flat(tree))) for tree in trees
    }
    assert len(sums) == 1
    for tree in trees:
        assert (tree.grown, tree.shrunk) == (11, 4)
        assert sum(tile.kind == "folder" for tile in flat(tree)) <= most + 1


def test_a_path_of_a_thousand_names_is_cut_before_browsers_cut_it() -> None:
    path = "/".join("d" * 1000)
    root = grown_by([(path, 1), *[(f"{'d/' * depth}f", 1) for depth in range(1000)]])
    text = "".join(drawn(root))
    depth = deepest = 0
    for tag in re.findall(r"</?svg", text):
        depth += 1 if tag == "<svg" else -1
        deepest = max(deepest, depth)
    assert deepest < 100
    assert root.weight == 1001


@pytest.mark.parametrize("path", ["", "/", "//", "/a", "a/", "a//b", "./a", "../.."])
def test_odd_paths_are_counted(path) -> None:
    root = grown_by([(path, 7), ("b", 1)], [(path, 7)])
    assert root.weight == 8
    assert sum(tile.weight for tile in root.tiles) == 8


# ---- areas ----

WEIGHTS = st.lists(st.integers(1, 10**15), min_size=1, max_size=60)


@given(WEIGHTS, st.floats(1, 4000), st.floats(1, 4000))
def test_areas_are_as_weights_and_lie_inside_without_overlap(weights, width, height) -> None:
    rects = squarified(weights, width, height)
    assert len(rects) == len(weights)
    near = 1e-9 * (width + height)
    for rect, weight in zip(rects, weights, strict=True):
        share = weight / sum(weights)
        assert rect.width * rect.height == pytest.approx(
            share * width * height, rel=1e-6, abs=1e-9 * width * height
        )
        assert min(rect.x, rect.y, rect.width, rect.height) >= 0
        assert rect.x + rect.width <= width + near
        assert rect.y + rect.height <= height + near
    for number, one in enumerate(rects):
        for other in rects[number + 1 :]:
            assert overlap(one, other) <= near


def overlap(one: Rect, other: Rect) -> float:
    """The shorter side of what two places share, at most 0 when they share nothing."""
    return min(
        min(one.x + one.width, other.x + other.width) - max(one.x, other.x),
        min(one.y + one.height, other.y + other.height) - max(one.y, other.y),
    )


def test_areas_are_near_to_squares() -> None:
    rects = squarified([6, 6, 4, 3, 2, 2, 1], 6, 4)
    assert max(max(r.width / r.height, r.height / r.width) for r in rects) < 3.1
    assert squarified([], 10, 10) == []


def test_a_frame_without_area_gives_places_without_area() -> None:
    assert squarified([3, 2], 0, 0) == [Rect(0, 0, 0, 0)] * 2
    assert all(rect.height == 0 for rect in squarified([3, 2, 1], 5, 0))


def test_cells_of_the_page_are_as_their_bytes() -> None:
    sizes = {"a": 500_000, "b": 300_000, "c": -150_000, "d": 50_000}
    rows = [
        added(f"{name}/f", size) if size > 0 else PageRow("D", f"{name}/f", "", -size, 0, ())
        for name, size in sizes.items()
    ]
    cells = {
        cell["data-path"]: cell
        for cell in Page(made(rows)).all("svg")
        if "cell" in (cell.get("class") or "")
    }
    assert set(cells) == {f"{name}/f" for name in sizes}
    for name, size in sizes.items():
        cell = cells[f"{name}/f"]
        across, down = (float(cell[side].rstrip("%")) for side in ("width", "height"))
        assert across * down / 100**2 == pytest.approx(abs(size) / 1_000_000, abs=1e-4)
        assert ("grown" in cell["class"].split()) == (size > 0)


def test_a_tile_says_its_path_and_what_changed_with_a_sign() -> None:
    text = made([added("a/x", 900_000), PageRow("D", "a/y/z", "", 200_000, 0, ()), added("b", 1)])
    assert f"<title>a: +900.0 kB {MINUS}200.0 kB</title>" in text
    assert "<title>a/x: +900.0 kB</title>" in text
    assert f"<title>a/y/z: {MINUS}200.0 kB</title>" in text


def test_the_heaviest_tiles_stand_first() -> None:
    root = grown_by((f"{number}/f", number) for number in range(1, 30))
    weights = [tile.weight for tile in root.tiles]
    assert all(one >= other for one, other in pairwise(weights))


# ---- the script and the page agree ----


def test_the_script_measures_as_the_drawing_does() -> None:
    numbers = dict(re.findall(r"\b([A-Z]+) = (\[?\d+(?:, \d+\])?)", SCRIPT))
    for name in ("HEAD", "PAD", "SPLIT", "LINE", "CHAR"):
        assert float(numbers[name]) == getattr(treemap, name), name
    assert tuple(json.loads(numbers["TINY"])) == treemap.TINY


def test_the_script_asks_for_what_the_page_has() -> None:
    text = made(SAMPLE)
    for name in re.findall(r'byId\("(\w+)"\)', SCRIPT):
        assert f'id="{name}"' in text, name
    keys = re.findall(r'data-key="(\w+)"', text)
    assert len(keys) == 6
    assert all(re.search(rf"\b{key}\b", SCRIPT) for key in keys)
