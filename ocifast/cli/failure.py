"""What an exception is on the command line: an exit code and one line of words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ocifast.errors import LimitExceeded, OcifastError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "EXIT_DIFFERS",
    "EXIT_INTERRUPTED",
    "EXIT_IO",
    "EXIT_NOT_FOUND",
    "EXIT_PIPE",
    "EXIT_REFUSED",
    "EXIT_USAGE",
    "about",
    "error_object",
    "exit_code",
    "overall",
    "words",
]

EXIT_DIFFERS: Final = 1
EXIT_USAGE: Final = 2
EXIT_NOT_FOUND: Final = 3
EXIT_REFUSED: Final = 4
EXIT_IO: Final = 6
EXIT_INTERRUPTED: Final = 130
EXIT_PIPE: Final = 141
"""128 + SIGPIPE: what a shell shows for coreutils when the reader of their output goes away."""

OPTIONS: Final = {"output_bytes": "--max-output", "ratio": "--max-ratio"}


def exit_code(error: BaseException) -> int:
    """Give the exit code of an error.

    Example:
        >>> exit_code(FileNotFoundError()), exit_code(PermissionError()), exit_code(OcifastError())
        (3, 6, 4)
    """
    if isinstance(error, OcifastError):
        return error.exit_code
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return EXIT_NOT_FOUND
    return EXIT_IO


def overall(codes: Iterable[int]) -> int:
    """Give the exit code of many: 1 if anything differs, as that is a verdict, else the highest.

    Example:
        >>> overall([0, 6, 1]), overall([0, 3, 4]), overall([])
        (1, 4, 0)
    """
    found = set(codes)
    return EXIT_DIFFERS if EXIT_DIFFERS in found else max(found, default=0)


def words(error: BaseException) -> str:
    """Say what is wrong, without the name of the file."""
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, LimitExceeded) and error.name in OPTIONS:
        return f"{error} (see {OPTIONS[error.name]})"
    if isinstance(error, OcifastError):
        return str(error) or type(error).__name__
    return f"{type(error).__name__}: {error}"  # a defect: its type says more than its text


def about(reference: str, error: BaseException) -> str:
    """Say what is wrong with what a reference names; it is named once, here or by the error.

    Example:
        >>> about("docker-archive:a.tar:app", OcifastError("it is cut short"))
        'docker-archive:a.tar:app: it is cut short'
        >>> about("a.tar", OcifastError("a.tar: it is cut short"))
        'a.tar: it is cut short'
    """
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    message = f"{words(error)}{notes}"
    path = reference.partition(":")[2] or reference
    return message if path.partition(":")[0] in message else f"{reference}: {message}"


def error_object(path: str | None, error: BaseException) -> dict[str, object]:
    """Describe an error as `ocifast.error/1`; the path is None when it is not about one layer."""
    return {
        "schema": "ocifast.error/1",
        "path": path,
        "error": type(error).__name__,
        "message": words(error),
        "exit_code": exit_code(error),
    }
