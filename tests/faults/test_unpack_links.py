"""Links (P) against `unpack`: in chains, hard ones, and what has their names later.

Like `test_unpack_names.py`, whose other half it is: the canary, and where things come to be.
"""

import os

import pytest
from support.hostile import PROFILES, Ground
from support.merging import hard, link
from support.tables import entry
from support.tar_build import entry as raw_entry

from ocifast import LimitExceeded, OcifastError


@pytest.fixture
def ground(scratch):
    return Ground(scratch)


CHAINS = {
    "inner/go_up": [link("inner/go_up", ".."), link("inner/go_up/escape", "../victim")],
    "cur, par": [link("cur", "."), link("par", "cur/.."), link("escape", "par/victim")],
    "up, escape": [link("a/b/c/up", "../.."), link("a/b/escape", "c/up/../../victim")],
    "one of each": [link("a", "/b"), link("b", "c"), link("c", "../d"), link("escape", "a/../../")],
    "into itself": [link("d/l", "../d/l2"), link("d/l2", "/d/../../victim"), link("escape", "d/l")],
}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("how", ["together", "one by one", "file last"])
@pytest.mark.parametrize("profile", PROFILES)
def test_p05_chains_of_links_end_inside_the_root(ground, name, how, profile) -> None:
    chain = CHAINS[name]
    attack = [entry("escape/secret", size=9), entry("escape/sub/", mode=0o777)]
    if name in {"inner/go_up", "up, escape"}:
        above = chain[-1].name.rpartition("/")[0]
        attack = [each._replace(path=above.encode() + b"/" + each.path) for each in attack]
    layers = {
        "together": [chain + attack],
        "one by one": [[each] for each in [*chain, *attack]],
        "file last": [chain, attack],
    }[how]
    found = ground.unpack(*layers, profile=profile)
    (landed,) = (each for each in found if each.endswith("secret"))
    assert ground.holds(attack[0], landed)
    assert ground.mode(landed.replace("secret", "sub")) == 0o777


def test_p05_a_hard_link_at_the_end_of_a_chain_has_its_target_inside(ground) -> None:
    chain = [*CHAINS["up, escape"], hard("stolen", "a/b/escape/secret")]
    ground.refuses(OcifastError, chain, match="stolen")
    (secret,) = inside = [entry("a/b/escape/secret", size=4)]
    found = ground.unpack([*chain[:-1], *inside, chain[-1]])
    assert "victim/secret = stolen" in found or "stolen = victim/secret" in found
    assert ground.holds(secret, "stolen")


def test_p05_forty_links_are_followed_and_no_more(ground) -> None:
    def chain(count):
        first = [link(f"l{n}", f"l{n + 1}") for n in range(count - 1)]
        return [*first, link(f"l{count - 1}", str(ground.victim)), entry("l0/secret", size=3)]

    ground.refuses(OcifastError, chain(41), match="l0/secret")
    ground.refuses(OcifastError, [link("l", "l"), entry("l/x")], match="l/x")
    assert f"{ground.inside}/secret" in ground.unpack(chain(40))


def test_p06_names_longer_than_the_system_has_are_refused_before_anything_is_made(ground) -> None:
    for name in ("n" * 256, "/".join(["d" * 250] * 17)):
        ground.refuses(LimitExceeded, [entry("ok"), entry(name)], match="bytes")
    assert ground.unpack([entry("n" * 255)]) == ["n" * 255]


def deep(levels, name="d" * 250):
    return "/".join([name] * levels)


def test_p06_what_links_make_of_a_path_may_be_longer_than_path_max(ground) -> None:
    """Each name is short, so realpath(3) would stop resolving, where descriptors do not."""
    chain = [link("l0", deep(15)), link(deep(15) + "/l1", deep(15)), entry("l0/l1/x", size=8)]
    ground.report(chain)
    here = os.open(ground.dest, os.O_PATH)
    for name in ["d" * 250] * 30:
        below = os.open(name, os.O_PATH, dir_fd=here)
        os.close(here)
        here = below
    assert os.listdir(f"/proc/self/fd/{here}") == ["x"]
    os.close(here)
    assert ground.unpack([entry("new")], replace=True) == ["new"]  # and it can be removed


def test_p06_a_chain_that_hides_a_way_out_behind_a_path_that_is_too_long(ground) -> None:
    """As CVE-2025-4517: links double the path until nobody resolves it, then come the dots."""
    folder, chain, at = "d" * 247, [], ""
    for name in "abcdefghijklmnop":
        chain += [entry(f"{at}{folder}/"), link(f"{at}{name}", folder)]
        at += f"{folder}/"
    short = "/".join("abcdefghijklmnop")
    chain += [link(f"{at[: 8 * 248]}up", "../" * 16), link("out", f"{short[:15]}/up/../..")]
    chain += [entry("out/victim/secret", size=5), link("flag", "out/victim/secret")]
    chain += [hard("taken", "flag"), entry("out/victim/sub/", mode=0o777)]
    found = ground.unpack(chain)
    (landed,) = (each for each in found if each.endswith("victim/secret") and "->" not in each)
    assert ground.holds(entry("out/victim/secret", size=5), landed)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    "target",
    ["{}/secret", "../../victim/secret", "../victim/secret", "secret", "l/secret", "/l/name"],
)
def test_p07_a_hard_link_names_an_entry_of_the_archive_and_nothing_else(
    ground, profile, target, monkeypatch
) -> None:
    """Neither what is there from the host's root, nor from where the process stands."""
    monkeypatch.chdir(ground.victim)
    link_away = link("l", str(ground.victim))
    odd = hard("stolen", target.format(ground.victim))
    for layers in ([[link_away, odd]], [[link_away], [odd]]):
        ground.refuses(OcifastError, *layers, profile=profile, match="stolen")


@pytest.mark.parametrize("target", ["{}/secret", "../../..{}/secret", "l/secret", "/l//secret"])
def test_p07_where_that_is_an_entry_it_is_linked(ground, target) -> None:
    inside = entry(f"{ground.inside}/secret", size=12)
    odd = hard("taken", target.format(ground.victim))
    found = ground.unpack([link("l", str(ground.victim)), inside, odd])
    assert f"taken = {ground.inside}/secret" in found or f"{ground.inside}/secret = taken" in found
    assert ground.holds(inside, "taken")


def test_p07_a_hard_link_to_a_folder_is_refused(ground) -> None:
    for target in ("d", "d/", ".", "", "l"):
        odd = hard("h", target) if target else raw_entry(b"h", kind=b"1")
        layer = [entry("d/x"), link("l", "d"), odd]
        if target == "l":
            assert "l -> d = h" not in ground.unpack(layer)
            continue
        ground.refuses(OcifastError, layer)


def test_p09_a_hard_link_to_a_link_is_one_more_name_of_the_link(ground) -> None:
    away = link("l", f"{ground.victim}/secret")
    found = ground.unpack([away], [hard("h", "l", mode=0o6777, uid=7, mtime_ns=5)])
    assert found == [f"h -> {ground.victim}/secret", "l = h"]
    assert ground.stat("h").st_nlink == 2


def test_p09_what_is_written_to_that_name_replaces_it(ground) -> None:
    away, new = link("l", f"{ground.victim}/secret"), entry("h", size=11, mode=0o777)
    layer = [away, hard("h", "l")]
    assert ground.unpack(layer, [new]) == ["h", f"l -> {ground.victim}/secret"]
    assert ground.holds(new)


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("order", ["link, folder", "folder, link", "link, folder, link"])
@pytest.mark.parametrize("together", [True, False])
def test_p11_metadata_of_a_folder_never_goes_through_a_link_of_its_name(
    ground, order, keep, together
) -> None:
    things = {
        "link": link("d", str(ground.victim)),
        "folder": entry("d/", mode=0o777, mtime_ns=9, xattrs=((b"user.evil", b"1"),)),
    }
    parts = [things[word] for word in order.split(", ")]
    layers = [parts] if together else [[each] for each in parts]
    if keep:
        ground.dest.mkdir()
        (ground.dest / "d").symlink_to(ground.victim)
    found = ground.unpack(*layers, keep=keep)
    assert found == (["d/"] if order.endswith("folder") else [f"d -> {ground.victim}"])
    if order.endswith("folder"):
        assert (ground.mode("d"), ground.stat("d").st_mtime_ns) == (0o777, 9)
