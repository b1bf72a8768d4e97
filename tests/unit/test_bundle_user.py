"""Who runs, by the image's own passwd and group: never root because something could not be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bundles import GROUP, PASSWD

from ocifast.errors import DocumentError, TreeError
from ocifast.ops.bundle_user import ID_MAX, MOST_GROUPS, find_user

FILES = {"etc/passwd": PASSWD.encode(), "etc/group": GROUP.encode()}


def find(text, passwd=None, group=None, profile="compat"):
    files = dict(FILES)
    if passwd is not None:
        files["etc/passwd"] = passwd
    if group is not None:
        files["etc/group"] = group
    return find_user(text, files.__getitem__, profile)


def ids(*arguments, **options):
    user = find(*arguments, **options)
    return user.uid, user.gid, user.groups


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (0, 0, (0,))),
        ("root", (0, 0, (0,))),
        ("app", (1000, 100, (100, 33, 29))),
        ("1000", (1000, 100, (100, 33, 29))),
        ("app:", (1000, 100, (100, 33, 29))),
        ("app:web", (1000, 33, (33,))),
        ("app:5", (1000, 5, (5,))),
        ("app:0", (1000, 0, (0,))),
        (":web", (0, 33, (33,))),
        ("4242", (4242, 0, (0,))),
        ("4242:17", (4242, 17, (17,))),
        ("4242:web", (4242, 33, (33,))),
        ("short", (12, 13, (13,))),
        ("0:0", (0, 0, (0,))),
        ("+5", (5, 0, (0,))),
        ("-0", (0, 0, (0,))),
        ("0000000000000000005", (5, 0, (0,))),
    ],
)
def test_a_user_is_who_docker_takes_it_for(text, expected) -> None:
    assert ids(text) == expected
    assert ids(text, profile="strict") == expected


def test_a_number_is_an_id_even_if_somebody_is_called_so() -> None:
    assert ids("0") == (0, 0, (0,))
    assert ids("55") == (55, 55, (55,))


def test_the_first_line_of_an_id_or_a_name_counts() -> None:
    assert find("7").home == "/first"
    assert ids("7") == (7, 8, (8, 33, 29))
    assert ids("x", b"x:x:1:2\nx:x:3:4\n") == (1, 2, (2,))
    assert ids("1:g", group=b"g:x:1\ng:x:2\n") == (1, 1, (1,))


def test_without_a_user_the_entry_of_root_counts_whatever_it_says() -> None:
    user = find("", b"toor:x:0:55::/toor:\n", b"wheel:x:10:toor\n")
    assert (user.uid, user.gid, user.groups, user.home) == (0, 55, (55, 10), "/toor")


def test_the_primary_group_is_among_the_supplementary_ones_once() -> None:
    assert ids("x", b"x:x:1:2\n", b"a:x:3:x\nb:x:2:x\nc:x:3:x\n") == (1, 2, (3, 2))


def test_a_group_that_is_given_is_the_only_one() -> None:
    assert ids("first:users") == (7, 100, (100,))


def test_home_is_that_of_the_entry() -> None:
    assert find("app").home == find("1000:5").home == "/srv/app"
    assert find("4242").home == find("short").home == ""
    user = find("x", b"x:x:1:2::/\xff:\n")
    assert (user.home, user.findings) == (
        "",
        ("etc/passwd: the user's home is not UTF-8, and left out",),
    )


def test_files_are_only_read_when_they_are_needed() -> None:
    read = []

    def one(path):
        read.append(path)
        return FILES[path]

    find_user("4242:17", one)
    assert read == ["etc/passwd"]
    find_user("app:web", one)
    assert read == ["etc/passwd"] * 2 + ["etc/group"]


def test_without_files_ids_are_as_they_are_and_names_are_unknown() -> None:
    for text, expected in {"": (0, 0, (0,)), "5": (5, 0, (0,)), "5:6": (5, 6, (6,))}.items():
        assert ids(text, b"", b"") == expected
    with pytest.raises(TreeError, match="etc/passwd: it has no user 'app'"):
        find("app", b"")
    with pytest.raises(TreeError, match="etc/group: it has no group 'web'"):
        find("0:web", b"", b"")


def test_b02_a_name_that_is_not_there_is_never_root() -> None:
    for text in ("nobody", "App", "app ", " app", "röot", "٠", "0x0", "1e3", "1_0", "--1", "+"):
        with pytest.raises(TreeError, match="has no user"):
            find(text)
    for text in ("app:nobody", "app:٣", "0:0x0"):
        with pytest.raises(TreeError, match="has no group"):
            find(text)


@pytest.mark.parametrize(
    "number",
    [
        ID_MAX + 1,
        1 << 32,
        (1 << 32) + 1,
        1 << 63,
        1 << 64,
        -1,
        -(1 << 32),
        "9" * 5000,
        "-" + "9" * 5000,
    ],
)
def test_b02_an_id_out_of_range_is_refused_and_does_not_wrap(number) -> None:
    for text in (f"{number}", f"app:{number}", f"{number}:{number}"):
        with pytest.raises(DocumentError, match="ids are 0 to 2147483647") as caught:
            find(text)
        assert caught.value.where == "config.User"
        assert len(str(caught.value)) < 200


def test_the_greatest_id_is_one() -> None:
    assert ids(f"{ID_MAX}:{ID_MAX}") == (ID_MAX, ID_MAX, (ID_MAX,))


@pytest.mark.parametrize("text", ["a:b:c", "::", "0:0:0", "app:web:"])
def test_b02_more_than_user_and_group_is_refused(text) -> None:
    with pytest.raises(DocumentError, match="not user:group"):
        find(text)


MALFORMED = [
    b"app:x::100",
    b"app:x:ten:100",
    b"app:x:-1:100",
    b"app:x:+1:100",
    b"app:x:1000:",
    b"app:x:4294967296:100",
    b"app:x:1000:2147483648",
    b"app:x:1000",
    b"app",
    b"app:x:1000:100::/ho\0me:",
    b"app:x: 1000:100",
    b"app:x:\xd9\xa3:100",
    b"app:x:" + b"9" * 5000 + b":100",
]


@pytest.mark.parametrize("line", MALFORMED)
def test_b02_a_malformed_line_of_the_user_is_refused_and_not_root(line) -> None:
    with pytest.raises(TreeError, match="line 2 is malformed"):
        find("app", b"root:x:0:0\n" + line + b"\n")


@pytest.mark.parametrize("line", [*MALFORMED, b":x:0:0", b"+::::::", b"# a comment: of two"])
def test_b02_a_malformed_line_of_others_is_passed_over_and_noted(line) -> None:
    passwd = b"\n" + line + b"\nother:x:5:6\n"
    user = find("other", passwd, b"g:x:one:other\nh:x:7:other\n")
    assert (user.uid, user.gid, user.groups) == (5, 6, (6, 7))
    assert user.findings == (
        "etc/passwd: 1 malformed lines were passed over",
        "etc/group: 1 malformed lines were passed over",
    )
    assert find("", line + b"\n").uid == 0
    with pytest.raises(TreeError, match="line 2 is malformed"):
        find("other", passwd, profile="strict")


@pytest.mark.parametrize(
    "line", [b"web:x:", b"web:x:abc:app", b"web:x", b"web:x:2147483648:", b"web"]
)
def test_b02_a_malformed_group_is_refused_and_not_group_root(line) -> None:
    with pytest.raises(TreeError, match="etc/group: line 1 is malformed"):
        find("app:web", group=line)


def test_more_groups_than_can_be_set_are_refused() -> None:
    group = b"".join(b"g%d:x:%d:app\n" % (number, number) for number in range(MOST_GROUPS + 1))
    with pytest.raises(TreeError, match="groups"):
        find("app", group=group)


LINES = st.lists(
    st.sampled_from([*FILES.values(), b":", b"\n", b"app", b"0", b"\xff"]) | st.binary(max_size=9)
)


@given(st.text(), LINES.map(b"".join), LINES.map(b"".join), st.sampled_from(["strict", "compat"]))
def test_b02_whatever_files_hold_ids_are_ids_or_the_error_says_why(
    text, passwd, group, profile
) -> None:
    text = text.encode(errors="replace").decode()
    try:
        user = find(text, passwd, group, profile)
    except (DocumentError, TreeError):
        return
    assert all(0 <= number <= ID_MAX for number in (user.uid, user.gid, *user.groups))
    assert user.gid in user.groups
    assert len(set(user.groups)) == len(user.groups)
    assert "\0" not in user.home
