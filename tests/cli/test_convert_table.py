"""The table at the end of a conversion, as golden text."""

from support.conversions import a_failure, a_layer, a_report, an_image, three_images

from ocifast.cli.convert_table import image_labels, table_lines
from ocifast.cli.quantity import cells, clipped, duration_text, size_text

GOLDEN = """\
image                           before     after   ratio  layers  shared    time
app:1                          80.0 MB   60.0 MB  75.0 %       2       0   2.5 s
registry.example/team/tool:1   80.0 MB   70.0 MB  87.5 %       2       1   2.5 s
broken.tar                      failed         -       -       -       -  250 ms
all, each layer once          120.0 MB  100.0 MB  83.3 %       3       1   4.0 s

failed:
  broken.tar: tar offset 512: the header's checksum is wrong

3 images (1 failed), 3 layers (1 more shared): read 120.0 MB and wrote 90.0 MB in 4.0 s with \
2 workers; recipe zstd-1
"""

NARROW = """\
image               before     after   ratio  layers  shared    time
app:1              80.0 MB   60.0 MB  75.0 %       2       0   2.5 s
registr../tool:1   80.0 MB   70.0 MB  87.5 %       2       1   2.5 s
"""

ONE = """\
image   before    after   ratio  layers  shared   time
app:1  40.0 MB  30.0 MB  75.0 %       1       0  2.5 s

1 image, 1 layer: read 120.0 MB and wrote 90.0 MB in 4.0 s with 2 workers; recipe zstd-1
"""


def text_of(lines: object) -> str:
    return "".join(f"{line}\n" for line in lines)


def test_the_table_has_a_line_an_image_the_failures_and_the_totals() -> None:
    assert text_of(table_lines(three_images())) == GOLDEN


def test_names_are_cut_in_the_middle_to_fit_the_terminal() -> None:
    assert text_of(list(table_lines(three_images(), width=68))[:3]) == NARROW


def test_a_narrow_terminal_goes_without_some_columns() -> None:
    lines = list(table_lines(three_images(), width=60))
    assert lines[0].split() == ["image", "before", "after", "ratio", "layers", "time"]
    assert max(map(cells, lines[:5])) <= 60
    lines = list(table_lines(three_images(), width=45))
    assert lines[0].split() == ["image", "before", "after", "time"]
    assert max(map(cells, lines[:5])) <= 45


def test_an_image_that_failed_is_named_with_its_source() -> None:
    failed = an_image("app", error="it is cut short", error_type="StoreError", exit_code=4)
    assert image_labels([failed]) == ["app:1 (app.tar)"]
    assert "  app:1 (app.tar): it is cut short" in table_lines(a_report(failed))


def test_one_image_needs_no_line_of_totals() -> None:
    assert text_of(table_lines(a_report(an_image("app", a_layer("a"))))) == ONE


def test_columns_stay_aligned_beside_wide_characters() -> None:
    images = [an_image("app", a_layer("a")), an_image("日本語", a_layer("b"))]
    lines = list(table_lines(a_report(*images)))
    assert len({cells(line) for line in lines[:4]}) == 1


def test_hostile_names_and_errors_stay_on_their_line() -> None:
    hostile = "a\x1b[31m\nfake\u202e\udcff"
    images = [an_image("x", names=(hostile,)), a_failure(hostile, f"no {hostile}")]
    lines = list(table_lines(a_report(*images)))
    assert all(line.isprintable() for line in lines)
    assert lines[1].startswith(r"a\033[31m\nfake\342\200\256\377 ")


def test_images_of_the_same_name_are_told_apart_by_their_source() -> None:
    images = [an_image("a", names=("app:1",)), an_image("b", names=("app:1",)), an_image("c")]
    assert image_labels(images) == ["app:1 (a.tar)", "app:1 (b.tar)", "c:1"]


def test_sizes_and_times_move_to_the_next_unit_before_they_get_long() -> None:
    assert [size_text(size) for size in (999, 1000, 999_949, 999_950, 10**16)] == [
        "999 B",
        "1.0 kB",
        "999.9 kB",
        "1.0 MB",
        "10.0 PB",
    ]
    assert [duration_text(seconds) for seconds in (0, 0.9996, 59.96, 3599.6)] == [
        "0 ms",
        "1.0 s",
        "1m00s",
        "1h00m",
    ]


def test_what_is_cut_fits_whatever_it_is_made_of() -> None:
    for text in ("x" * 50, "日" * 50, "e\u0301" * 50, "x日" * 25):
        for width in range(4, 60):
            assert cells(clipped(text, width)) <= max(width, 4)
