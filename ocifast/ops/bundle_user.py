"""Who runs: the `User` of a config, looked up in the image's own passwd and group.

What is looked up, and when, is what Docker does; what differs is that a line that cannot be read is
never taken for root, and that the primary group is among the supplementary ones. Invariant: an id
is in 0..2^31-1, and was written as digits by somebody (B02).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from ocifast.errors import DocumentError, TreeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocifast.limits import Profile

__all__ = ["ID_MAX", "MOST_GROUPS", "User", "find_user"]

ID_MAX: Final = (1 << 31) - 1
"""What every engine takes; the kernel has twice as many."""
MOST_GROUPS: Final = 65536
"""What setgroups(2) takes."""
PASSWD: Final = "etc/passwd"  # noqa: S105 - a file
GROUP: Final = "etc/group"
NUMBER: Final = re.compile(r"([+-]?)([0-9]+)")


@dataclass(frozen=True, slots=True)
class User:
    """Who runs; `home` is empty where no passwd entry says."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = (0,)
    """Supplementary ones, the primary one among them: engines that leave it out let a process
    that changes its group escape what that group is denied."""
    home: str = ""
    findings: tuple[str, ...] = ()


class Account(NamedTuple):
    """A line of passwd."""

    name: bytes
    uid: int
    gid: int
    home: bytes


class Group(NamedTuple):
    """A line of group."""

    name: bytes
    gid: int
    members: tuple[bytes, ...]


Line = TypeVar("Line", Account, Group)


def find_user(text: str, read: Callable[[str], bytes], profile: Profile = "compat") -> User:
    r"""Find who `user[:group]` is; `read` gives the bytes of a file of the image.

    Raises:
        DocumentError: It cannot be read, or an id is out of range.
        TreeError: There is no such user or group; or the line that says so is malformed, which
            in the strict profile any line must not be.

    Example:
        >>> find_user("app", {"etc/passwd": b"app:x:7:8::/srv:/bin/sh\n", "etc/group": b""}.get)
        User(uid=7, gid=8, groups=(8,), home='/srv', findings=())
    """
    name, _, group = text.partition(":")
    if ":" in group:
        raise _refused(text, "it is not user:group")
    lines = _Lines(read, profile)
    uid = _id(name, text)
    account = lines.account(name, uid)
    if account is None and uid is None and name:
        raise TreeError(PASSWD, f"it has no user {name[:80]!r}")
    uid, gid = (uid or 0, 0) if account is None else (account.uid, account.gid)
    if group:
        gid, groups = lines.gid(group, _id(group, text)), []
    else:
        groups = lines.groups_of(account.name) if account is not None else []
    unique = dict.fromkeys(groups if gid in groups else [gid, *groups])
    if len(unique) > MOST_GROUPS:
        raise TreeError(GROUP, f"the user is in {len(unique)} groups, of at most {MOST_GROUPS}")
    home = lines.home(account)
    return User(uid, gid, tuple(unique), home, tuple(lines.findings))


def _id(part: str, text: str) -> int | None:
    """Read a part as an id; None for a name."""
    found = NUMBER.fullmatch(part)
    if found is None:
        return None
    number = _number(found[2].encode())
    if number is None or (found[1] == "-" and number):
        raise _refused(text, f"ids are 0 to {ID_MAX}")
    return number


def _number(digits: bytes) -> int | None:
    """Read an id; None for what is none, or out of range."""
    # by length first: int() of a long text costs the square of it
    if not digits.isdigit() or len(digits.lstrip(b"0")) > 10:
        return None
    number = int(digits)
    return number if number <= ID_MAX else None


def _refused(text: str, reason: str) -> DocumentError:
    return DocumentError("config", "config.User", f"{text[:80]!r}: {reason}")


class _Lines:
    """The two files, read when they are needed; collects what is odd in them."""

    def __init__(self, read: Callable[[str], bytes], profile: Profile) -> None:
        self._read = read
        self._strict = profile == "strict"
        self.findings: list[str] = []

    def account(self, name: str, uid: int | None) -> Account | None:
        """The first user of that id, or of that name; without a name, the first who is root."""
        accounts = self._all(PASSWD, _account, name if uid is None else "")
        if name and uid is None:
            return next((each for each in accounts if each.name == name.encode()), None)
        return next((each for each in accounts if each.uid == (uid or 0)), None)

    def gid(self, name: str, number: int | None) -> int:
        """The id of a group that was asked for."""
        if number is not None:
            return number
        for group in self._all(GROUP, _group, name):
            if group.name == name.encode():
                return group.gid
        raise TreeError(GROUP, f"it has no group {name[:80]!r}")

    def groups_of(self, user: bytes) -> list[int]:
        """The groups that list a user."""
        return [group.gid for group in self._all(GROUP, _group) if user in group.members]

    def home(self, account: Account | None) -> str:
        """The home of a user, as JSON can have it."""
        try:
            return "" if account is None else account.home.decode()
        except UnicodeDecodeError:
            self.findings.append(f"{PASSWD}: the user's home is not UTF-8, and left out")
            return ""

    def _all(
        self, path: str, parse: Callable[[list[bytes]], Line | None], wanted: str = ""
    ) -> list[Line]:
        """The lines that can be read; of the others, the one that is wanted is an error."""
        found, odd = [], 0
        for number, line in enumerate(self._read(path).split(b"\n"), 1):
            fields = line.strip().split(b":")
            if fields == [b""]:
                continue
            parsed = parse(fields)
            if parsed is not None:
                found.append(parsed)
            elif self._strict or (wanted and fields[0] == wanted.encode()):
                raise TreeError(path, f"line {number} is malformed")
            else:
                odd += 1
        if odd:
            self.findings.append(f"{path}: {odd} malformed lines were passed over")
        return found


def _account(fields: list[bytes]) -> Account | None:
    if len(fields) < 4 or not fields[0] or any(b"\0" in field for field in fields):
        return None
    uid, gid = _number(fields[2]), _number(fields[3])
    if uid is None or gid is None:
        return None
    return Account(fields[0], uid, gid, fields[5] if len(fields) > 5 else b"")


def _group(fields: list[bytes]) -> Group | None:
    if len(fields) < 3 or not fields[0] or any(b"\0" in field for field in fields):
        return None
    gid = _number(fields[2])
    if gid is None:
        return None
    members = fields[3].split(b",") if len(fields) > 3 else []
    return Group(fields[0], gid, tuple(members))
