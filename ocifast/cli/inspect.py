"""`ocifast inspect`: images, platforms, config and layers, as a table, as JSON, or the documents.

Of one image everything is shown, of several a line each. Invariant: what a document says is shown
escaped, except by --raw and --config, which give its bytes as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ocifast.cli.arguments import add_reading_arguments, limits_of
from ocifast.cli.failure import about, error_object, exit_code
from ocifast.cli.output import emit, json_line, say, shown
from ocifast.errors import OcifastError, UnsupportedError
from ocifast.ops.image import open_image, open_store
from ocifast.ops.inspect import ImageFacts, IndexFacts, OtherFacts, inspect
from ocifast.transports.base import ImageIndex

if TYPE_CHECKING:
    import argparse
    from argparse import Namespace
    from collections.abc import Iterator, Sequence

    from ocifast.ops.inspect import Facts, Inspection

__all__ = ["add_arguments", "human_size", "run"]

DESCRIPTION: Final = """\
Show what images a layout, archive or folder holds: names, platforms, config, layers and sizes. Only
documents are read, so the size of an archive does not matter; `ocifast verify` reads the layers.
"""

EPILOG: Final = """\
references:
  oci:FOLDER[:NAME]   oci-archive:FILE[:NAME]   docker-archive:FILE[:NAME]   dir:FOLDER
  a path is looked at; - is an archive on standard input; NAME may be @N or @DIGEST

examples:
  ocifast inspect saved.tar
  ocifast inspect oci:images:debian:12 --platform linux/arm64
  ocifast inspect --json saved.tar | jq -r '.images[].names[]'
  ocifast inspect --config saved.tar | jq .config.Env
"""

WORD: Final = 19
"""Characters of a digest that are shown in a line: the algorithm and twelve of it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("reference", metavar="REF", help="an image, or a store of images")
    parser.add_argument("--platform", metavar="OS/ARCH", help="which image of an index")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one object, ocifast.inspect/1")
    form.add_argument(
        "--raw", action="store_true", help="the bytes of the manifest or index, as they are"
    )
    form.add_argument("--config", action="store_true", help="the bytes of the config, as they are")
    parser.add_argument("-q", "--quiet", action="store_true", help="no warnings")
    add_reading_arguments(parser)


def run(arguments: Namespace) -> int:
    """Run the verb; returns the exit code."""
    try:
        if arguments.raw or arguments.config:
            emit(_document(arguments))
            return 0
        found = inspect(
            arguments.reference,
            platform=arguments.platform,
            profile=arguments.profile,
            limits=limits_of(arguments),
        )
    except (OcifastError, OSError) as error:
        return _failed(arguments, error)
    emit(json_line(found.to_dict()) if arguments.json else "".join(_lines(found)).encode())
    if not arguments.quiet:
        for finding in dict.fromkeys(_findings(found)):
            say(f"{found.store}: warning: {finding}")
    return 0


def _failed(arguments: Namespace, error: OcifastError | OSError) -> int:
    if arguments.json:
        emit(json_line(error_object(arguments.reference, error)))
    say(about(arguments.reference, error))
    return exit_code(error)


def _document(arguments: Namespace) -> bytes:
    """The bytes of a document, of the one image that is meant."""
    limits, profile = limits_of(arguments), arguments.profile
    if arguments.raw and arguments.platform is None:
        stored = open_store(arguments.reference, profile=profile, limits=limits)
        if len(stored) == 1 and isinstance(stored[0], ImageIndex):
            return stored[0].index.raw
    image = open_image(
        arguments.reference, platform=arguments.platform, profile=profile, limits=limits
    )
    if arguments.config and not image.legacy:
        return image.config_raw
    if arguments.raw and image.manifest is not None:
        return image.manifest.raw
    kind = "config" if arguments.config else "manifest"
    raise UnsupportedError(f"{image.store}: an archive of this form has no {kind} of its own")


def _findings(found: Inspection) -> Iterator[str]:
    yield from found.findings
    left = list(found.images)
    while left:
        facts = left.pop(0)
        if isinstance(facts, ImageFacts):
            yield from facts.findings
        elif isinstance(facts, IndexFacts):
            left += facts.manifests


def _lines(found: Inspection) -> Iterator[str]:
    yield f"{found.transport}:{shown(found.store)}\n"
    if len(found.images) == 1 and isinstance(found.images[0], ImageFacts):
        yield from _details(found.images[0])
    elif found.images:
        rows = [row for facts in found.images for row in _rows(facts, "")]
        yield from _table(("name", "platform", "digest", "image id", "layers", "size"), rows)
    else:
        yield "  holds no image\n"


def _rows(facts: Facts, indent: str) -> Iterator[tuple[str, ...]]:
    """A line of the table for an image, and for an index one more for each that it names."""
    name = indent + (", ".join(map(shown, facts.names)) or "-")
    if isinstance(facts, IndexFacts):
        yield name, "index", facts.digest[:WORD], "", "", ""
        for child in facts.manifests:
            yield from _rows(child, indent + "  ")
    elif isinstance(facts, OtherFacts):
        kind = facts.platform if facts.present else f"{facts.platform} (not there)"
        yield name, shown(kind.strip()), facts.digest[:WORD], "", "", human_size(facts.size)
    else:
        kind = shown(facts.platform) if facts.config else "artifact"
        identifier = (facts.image_id or "-")[:WORD]
        count = str(len(facts.layers))
        yield name, kind, (facts.digest or "-")[:WORD], identifier, count, human_size(facts.size)


def _details(facts: ImageFacts) -> Iterator[str]:
    for key, value in _fields(facts):
        if value:
            yield f"  {key:<11} {value}\n"
    rows = [
        (
            str(number),
            "-" if layer.size is None else human_size(layer.size),
            (layer.media_type or "-").rpartition("/")[2]
            + ("" if layer.present else " (not there)"),
            (layer.digest or "-")[:WORD],
            shown(" ".join((layer.created_by or "").split()))[:60],
        )
        for number, layer in enumerate(facts.layers)
    ]
    yield from _table(("#", "size", "type", "digest", "created by"), rows)


def _fields(facts: ImageFacts) -> Iterator[tuple[str, str]]:
    yield "names", ", ".join(map(shown, facts.names))
    yield "digest", facts.digest or ""
    yield "image id", facts.image_id or ""
    yield "platform", shown(facts.platform)
    yield "created", shown(facts.created)
    yield "author", shown(facts.author)
    if facts.config is not None:
        config = facts.config
        yield "entrypoint", _words(config.entrypoint)
        yield "cmd", _words(config.cmd)
        yield "user", shown(config.user)
        yield "workdir", shown(config.working_dir)
        yield "env", ("\n" + " " * 14).join(map(shown, config.env))
        yield "ports", ", ".join(map(shown, config.exposed_ports))
        yield "volumes", ", ".join(map(shown, config.volumes))
        yield "stop signal", shown(config.stop_signal)
        labels = (f"{shown(key)}={shown(text)}" for key, text in config.labels.items())
        yield "labels", ("\n" + " " * 14).join(labels)
    yield "size", f"{human_size(facts.size)} in {len(facts.layers)} layers"


def _words(words: Sequence[str]) -> str:
    """Show a command so that it can be told where each argument ends."""
    return " ".join(f'"{shown(w)}"' if not w or " " in w else shown(w) for w in words)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    for row in (head, *rows):
        line = "  ".join(
            cell.rjust(width) if head[at] in ("size", "layers", "#") else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield f"  {line.rstrip()}\n"


def human_size(size: int) -> str:
    """Show a number of bytes for a person.

    Example:
        >>> human_size(999), human_size(20_500_000_000)
        ('999 B', '20.5 GB')
    """
    if size < 1000:
        return f"{size} B"
    value = float(size)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.95 or unit == "TB":
            break
    return f"{value:.1f} {unit}"
