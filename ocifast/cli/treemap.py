"""Growth by directory as a treemap: collected from changes one by one, laid out, drawn as SVG.

It knows nothing of the page around it. Sizes are bytes; an area is what was added and taken away
together, so that a directory is as large as all in it, and a frame's areas can be compared.
Invariant: whatever the changes are, at most `MOST_FOLDERS` directories are held and `MOST_CELLS`
drawn, and every figure that is shown is exact: what has no cell of its own is in "(other)".
"""

from __future__ import annotations

from heapq import heappop, heappush
from html import escape
from typing import TYPE_CHECKING, Final, NamedTuple

from ocifast.cli.output import shown
from ocifast.cli.quantity import clipped, size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["MOST_CELLS", "Growth", "Rect", "Tile", "change_text", "drawn", "squarified"]

MOST_FOLDERS: Final = 1 << 16
MOST_CELLS: Final = 2000
DEEPEST: Final = 32  # a cell is two elements deep, and browsers flatten what is 512 deep
# pixels; the width is what the page gives it on a wide screen. HEAD to CHAR stand in the script too
WIDTH: Final = 1120.0
HEIGHT: Final = 560.0
HEAD: Final = 20.0
PAD: Final = 3.0
SPLIT: Final = 16000.0  # square pixels from which on a directory shows what is in it
TINY: Final = (34.0, 18.0)  # no room for a name
LINE: Final = 15
CHAR: Final = 7.0  # half a figure would be a wrong one, so it is there only where it fits
MINUS: Final = "\u2212"  # is read aloud as one, and as wide as the plus


class Rect(NamedTuple):
    """A place in a frame."""

    x: float
    y: float
    width: float
    height: float


class Tile(NamedTuple):
    """A directory, a file or the rest of a directory; `tiles` are the largest first."""

    name: str
    path: str
    kind: str  # "folder", "file" or "other"
    grown: int
    shrunk: int
    tiles: tuple[Tile, ...] = ()

    @property
    def weight(self) -> int:
        """Bytes its area stands for."""
        return self.grown + self.shrunk


class _Node:
    __slots__ = ("grown", "inside", "is_file", "shrunk")

    def __init__(self, delta: int = 0, *, is_file: bool = False) -> None:
        self.grown, self.shrunk, self.is_file = max(delta, 0), max(-delta, 0), is_file
        self.inside: dict[str, _Node] = {}

    def take_up(self) -> int:
        """Add to it what is below, at every level; count the nodes below."""
        count = 0
        for node in self.inside.values():
            count += 1 + node.take_up()
            self.grown += node.grown
            self.shrunk += node.shrunk
        return count


class Growth:
    """Collects changes of size by directory.

    When there are more directories than it holds, the deepest are taken up into those above, all of
    one depth at once: so figures stay exact, and the order of changes does not matter.

    Example:
        >>> growth = Growth()
        >>> growth.add("usr/lib/a.so", 300)
        >>> growth.add("etc/old", -20)
        >>> [(tile.path, tile.grown, tile.shrunk) for tile in growth.tiles([]).tiles]
        [('usr/lib', 300, 0), ('etc', 0, 20)]
    """

    def __init__(self, most: int = MOST_FOLDERS) -> None:
        self._root, self._most, self._count, self._depth = _Node(), most, 0, DEEPEST
        self._last, self._at, self._deepest = "", self._root, 0

    def add(self, path: str, delta: int) -> None:
        """Count a file whose size changed by `delta` bytes."""
        folder = path.rpartition("/")[0]
        if folder != self._last:
            self._last, self._at = folder, self._found(folder)
        if delta > 0:
            self._at.grown += delta
        else:
            self._at.shrunk -= delta

    def tiles(self, files: Iterable[tuple[str, int]], most: int = MOST_CELLS) -> Tile:
        """Give the root with the `most` heaviest below it; this ends the collecting.

        Args:
            files: Paths and changes, added before, that may have a tile of their own.
            most: So many tiles, without those for the rest of a directory.
        """
        self._root.take_up()
        for path, delta in files:
            self._place(path, delta)
        heaviest, heap, serial = {id(self._root)}, [(0, 0, self._root)], 0
        while heap and len(heaviest) <= most:
            node = heappop(heap)[2]
            heaviest.add(id(node))
            for inner in node.inside.values():
                if weight := inner.grown + inner.shrunk:
                    serial += 1
                    heappush(heap, (-weight, serial, inner))
        tiles = tuple(_tiles(self._root, "", heaviest))
        return Tile("", "", "folder", self._root.grown, self._root.shrunk, tiles)

    def _found(self, folder: str) -> _Node:
        node = self._root
        names = folder.split("/", self._depth)[: self._depth] if folder else []
        self._deepest = max(self._deepest, len(names))
        for name in names:
            inner = node.inside.get(name)
            if inner is None:
                inner = node.inside[name] = _Node()
                self._count += 1
            node = inner
        if self._count <= self._most:
            return node
        while self._count > self._most:
            self._flatten()
        return self._found(folder)

    def _flatten(self) -> None:
        self._depth = min(self._depth, self._deepest) - 1
        level = [self._root]
        for _ in range(self._depth):
            level = [inner for node in level for inner in node.inside.values()]
        for node in level:
            self._count -= node.take_up()
            node.inside.clear()

    def _place(self, path: str, delta: int) -> None:
        node, name = self._root, path
        while "/" in name and (inner := node.inside.get(name.partition("/")[0])):
            node, name = inner, name.partition("/")[2]
        # no directory has a slash in its name, so a file never takes the place of one
        node.inside["/" + name] = _Node(delta, is_file=True)


def squarified(weights: Sequence[int], width: float, height: float) -> list[Rect]:
    """Cut a frame into areas as the weights are to each other, as near to squares as it goes.

    Args:
        weights: Above zero; the largest first gives the best shapes.
        width: Of the frame, in any unit.
        height: Of the frame, in the same.

    Example:
        >>> squarified([6, 2, 1], 3, 3)[0]
        Rect(x=0.0, y=0.0, width=2.0, height=3.0)
    """
    rects: list[Rect] = []
    x, y, right, bottom = 0.0, 0.0, float(width), float(height)
    left, start = sum(weights), 0
    while start < len(weights):
        lies = right - x >= bottom - y  # a row stands along the shorter side
        along, across = (bottom - y, right - x) if lies else (right - x, bottom - y)
        end = _row_end(weights, start, along, across / left)
        row = weights[start:end]
        whole, done, edge = sum(row), 0, 0.0
        # whole numbers until the division: edges meet, and the last one is the frame's
        depth = across * whole / left
        for weight in row:
            done += weight
            near, edge = edge, along * done / whole
            place = (x, y + near, depth, edge - near) if lies else (x + near, y, edge - near, depth)
            rects.append(Rect(*place))
        x, y = (x + depth, y) if lies else (x, y + depth)
        left, start = left - whole, end
    return rects


def change_text(grown: int, shrunk: int) -> str:
    r"""Say what was added and taken away, with signs.

    Example:
        >>> change_text(1200, 0), ascii(change_text(1200, 3)), change_text(0, 0)
        ('+1.2 kB', "'+1.2 kB \\u22123 B'", '0 B')
    """
    return " ".join(_signed(grown, shrunk)) or "0 B"


def drawn(root: Tile) -> Iterator[str]:
    """Draw it, as pieces of SVG; names in it are escaped.

    Example:
        >>> "".join(drawn(Tile("", "", "folder", 0, 0)))
        '<svg id="map" class="inside" width="100%" height="560"></svg>'
    """
    yield f'<svg id="map" class="inside" width="100%" height="{HEIGHT:.0f}">'
    yield from _cells(root, WIDTH, HEIGHT)
    yield "</svg>"


def _signed(grown: int, shrunk: int) -> list[str]:
    parts = [f"+{size_text(grown)}"] if grown else []
    return parts + ([f"{MINUS}{size_text(shrunk)}"] if shrunk else [])


def _row_end(weights: Sequence[int], start: int, along: float, depth_of_one: float) -> int:
    """Find how many fit into a row until its worst shape gets worse."""
    end, whole, best = start, 0, float("inf")
    most, least = weights[start], weights[start]
    while end < len(weights):
        whole += weights[end]
        most, least = max(most, weights[end]), min(least, weights[end])
        depth = whole * depth_of_one or 1e-300  # nothing is left of the frame
        longest, shortest = along * most / whole, along * least / whole or 1e-300
        worst = max(longest / depth, depth / shortest)
        if worst > best:
            break
        best, end = worst, end + 1
    return end


def _tiles(node: _Node, path: str, heaviest: set[int]) -> list[Tile]:
    tiles = []
    for key, inner in node.inside.items():
        if id(inner) in heaviest:
            name = key.removeprefix("/") if inner.is_file else key
            tiles.append(_tile(inner, name, f"{path}{name}", heaviest))
    grown = node.grown - sum(tile.grown for tile in tiles)
    shrunk = node.shrunk - sum(tile.shrunk for tile in tiles)
    if grown + shrunk and (tiles or not path):
        tiles.append(Tile("(other)", path.removesuffix("/"), "other", grown, shrunk))
    return sorted(tiles, key=lambda tile: -tile.weight)


def _tile(node: _Node, name: str, path: str, heaviest: set[int]) -> Tile:
    if node.is_file:
        return Tile(name, path, "file", node.grown, node.shrunk)
    tiles = tuple(_tiles(node, f"{path}/", heaviest))
    if len(tiles) == 1:  # a frame around a single cell says no more than a longer name
        return tiles[0]._replace(name=f"{name}/{tiles[0].name}")
    return Tile(name, path, "folder", node.grown, node.shrunk, tiles)


def _cells(tile: Tile, width: float, height: float) -> Iterator[str]:
    rects = squarified([inner.weight for inner in tile.tiles], width, height)
    for inner, rect in zip(tile.tiles, rects, strict=True):
        place = _place(rect, width or 1.0, height or 1.0)
        yield from _cell(inner, place, rect.width, rect.height)


def _cell(tile: Tile, place: str, width: float, height: float) -> Iterator[str]:
    """One nested picture: what is too long is cut off at its edge, and text keeps its size."""
    path, name = escape(shown(tile.path)), clipped(shown(tile.name), 80)
    label, changed = escape(name), change_text(tile.grown, tile.shrunk)
    classes = _classes(tile, len(name), width, height)
    rest = ", other" if tile.kind == "other" else ""
    yield f'<svg class="{classes}" {place} data-path="{path}">'
    yield f"<title>{path}{rest}: {changed}</title>"
    yield '<rect width="100%" height="100%"/>'
    yield f'<text class="name" x="5" y="15">{label}</text>'
    parts = enumerate(_signed(tile.grown, tile.shrunk), 2)
    lines = (f'<tspan x="5" y="{1 + LINE * line}">{part}</tspan>' for line, part in parts)
    yield f'<text class="change">{"".join(lines)}</text>'
    if tile.tiles:
        yield f'<text class="head" x="5" y="15"><tspan>{label}</tspan> '
        yield f'<tspan class="change">{changed}</tspan></text>'
        within = Rect(PAD, HEAD, max(width - 2 * PAD, 0.0), max(height - HEAD - PAD, 0.0))
        yield f'<svg class="inside" {_place(within, width or 1.0, height or 1.0)}>'
        yield from _cells(tile, within.width, within.height)
        yield "</svg>"
    yield "</svg>"


def _classes(tile: Tile, name: int, width: float, height: float) -> str:
    """Say what it is, and what of it there is room for, as the script does for other sizes."""
    parts = [len(part) for part in _signed(tile.grown, tile.shrunk)]
    split = bool(tile.tiles) and width * height >= SPLIT
    across = name + sum(parts) + 3 if split else max(parts) + 2
    down = HEAD if split else 6 + LINE * (1 + len(parts))
    names = ["cell", tile.kind, "grown" if tile.grown >= tile.shrunk else "shrunk"]
    names += ["split"] if split else []
    names += ["tiny"] if width < TINY[0] or height < TINY[1] else []
    names += ["bare"] if width < across * CHAR or height < down else []
    return " ".join(names)


def _place(rect: Rect, width: float, height: float) -> str:
    """Give it in percent of its frame, which may be wider or narrower on the screen."""
    x, y = rect.x * 100 / width, rect.y * 100 / height
    across, down = rect.width * 100 / width, rect.height * 100 / height
    return f'x="{x:.3f}%" y="{y:.3f}%" width="{across:.3f}%" height="{down:.3f}%"'
