"""Owners, times and order of a tree's table."""

import pytest
from support.tables import HARDLINK, SYMLINK, entry, table_of

from ocifast.ops.pack_options import OwnerRule
from ocifast.ops.tree_rows import by_extension, clamped, mapped, owned

SECOND = 10**9


def test_times_are_clamped_and_older_ones_stay():
    table = table_of([entry("a", mtime_ns=5 * SECOND), entry("b", mtime_ns=50 * SECOND)])
    before = table.to_bytes()
    assert [each.mtime_ns for each in clamped(table, 9)] == [5 * SECOND, 9 * SECOND]
    assert table.to_bytes() == before


def test_one_owner_of_everything():
    table = table_of([entry("a/", uid=3, gid=4), entry("a/b", uid=2**31, gid=1)])
    assert [(each.uid, each.gid) for each in owned(table, 2**32 - 2, 0)] == [(2**32 - 2, 0)] * 2
    assert [each.path for each in owned(table, 1, 1)] == [b"a/", b"a/b"]


def test_the_first_rule_that_matches_decides_and_empty_parts_match_or_keep_any():
    owners = [(1000, 1000), (1000, 5), (0, 1000), (7, 7)]
    table = table_of([entry(f"{n}", uid=u, gid=g) for n, (u, g) in enumerate(owners)])
    rules = [OwnerRule.parse(text) for text in ("1000:1000=1:1", "1000:=2:", ":1000=:3")]
    found = [(each.uid, each.gid) for each in mapped(table, rules)]
    assert found == [(1, 1), (2, 5), (0, 3), (7, 7)]


def test_rules_are_applied_to_owners_as_they_were_not_to_what_a_rule_made():
    table = table_of([entry("a", uid=1, gid=1)])
    rules = [OwnerRule.parse("1:=2:"), OwnerRule.parse("2:=3:")]
    assert [each.uid for each in mapped(table, rules)] == [2]


@pytest.mark.parametrize(
    "text", ["", "1:2", "1:2=3", "a:b=c:d", "1:2=3:4:5", "-1:0=0:0", "4294967295:=0:0"]
)
def test_what_is_no_rule_is_refused(text):
    with pytest.raises(ValueError, match="UID:GID=UID:GID"):
        OwnerRule.parse(text)


def test_files_of_a_kind_come_side_by_side_behind_all_folders_and_before_links():
    table = table_of(
        [
            entry("a/"),
            entry("a/x.js"),
            entry("a/y.css"),
            entry("b.css"),
            entry("c/"),
            entry("c/.bashrc"),
            entry("c/hard", HARDLINK, link_target=b"b.css"),
            entry("c/link", SYMLINK, link_target=b"x"),
            entry("d.js"),
        ]
    )
    expected = ["a/", "c/", "c/.bashrc", "c/link", "a/y.css", "b.css", "a/x.js", "d.js", "c/hard"]
    assert [each.name for each in by_extension(table)] == expected
