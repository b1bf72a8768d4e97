"""Messages between the engine and its workers: JSON and file descriptors, never bytes of a layer.

A worker reads hostile input, so nothing it sends is unpickled or taken on trust: an error travels
as the name of a class of `ocifast.errors` (or OSError) and its arguments. Invariant: one message is
one datagram of a SEQPACKET socket, so there is no framing to get wrong; what is too long for one
goes into a memfd that travels with it.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from typing import Any, Final

from ocifast import errors
from ocifast.errors import OcifastError, WorkerError

__all__ = ["decode_error", "encode_error", "receive", "send"]

DATAGRAM_BYTES: Final = 64 << 10
"""Well below the 208 KiB a socket takes by default; only long lists of findings are longer."""

MESSAGE_BYTES: Final = 256 << 20
DESCRIPTORS: Final = 253
"""What Linux takes in one message; the last may be that of a long message."""
_SPILLED: Final = b"spilled"
_ERRORS: Final[dict[str, type[BaseException]]] = {
    "OSError": OSError,
    "MemoryError": MemoryError,
    **{name: getattr(errors, name) for name in errors.__all__},
}


def send(connection: socket.socket, message: dict[str, Any], descriptors: list[int]) -> None:
    """Send one message; the descriptors stay open here, the receiver gets its own."""
    data = json.dumps(message).encode()
    if len(data) <= DATAGRAM_BYTES:
        _send(connection, data, descriptors)
        return
    spill = os.memfd_create("ocifast-message", os.MFD_CLOEXEC)
    with open(spill, "wb") as file:
        file.write(data)
        file.flush()
        _send(connection, _SPILLED, [*descriptors, spill])


def _send(connection: socket.socket, data: bytes, descriptors: list[int]) -> None:
    if descriptors:
        socket.send_fds(connection, [data], descriptors)
    else:
        connection.send(data)


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Wait for one message; None when the other side is gone.

    When this process has no room for the descriptors that came along, the message has the key
    ``lost`` and they are gone.

    Raises:
        WorkerError: What came is not a message.
    """
    try:
        data, descriptors, flags, _ = socket.recv_fds(
            connection, DATAGRAM_BYTES, DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
        )
    except ConnectionResetError:
        return None
    lost = bool(flags & socket.MSG_CTRUNC)
    try:
        message = _parse(data, descriptors, lost=lost)
    except BaseException:
        close_all(descriptors)
        raise
    if message is None or lost:
        close_all(descriptors)
        descriptors = []
    return None if message is None else (message, descriptors)


def _parse(data: bytes, descriptors: list[int], *, lost: bool) -> dict[str, Any] | None:
    if not data:
        return None
    if data == _SPILLED:
        if lost or not descriptors:
            raise WorkerError("too few file descriptors: a long message from a worker got lost")
        data = _read_spill(descriptors.pop())
    try:
        message = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise WorkerError("what came from a worker is not a message") from error
    if not isinstance(message, dict):
        raise WorkerError("what came from a worker is not a message")
    if lost:
        message["lost"] = True
    return message


def _read_spill(descriptor: int) -> bytes:
    with open(descriptor, "rb") as file:
        file.seek(0)
        data = file.read(MESSAGE_BYTES + 1)
    if len(data) > MESSAGE_BYTES:
        raise WorkerError(f"a message of more than {MESSAGE_BYTES} bytes came from a worker")
    return data


def close_all(descriptors: list[int]) -> None:
    """Close descriptors that came with a message nobody wants."""
    for descriptor in descriptors:
        os.close(descriptor)


def lost_descriptors() -> OSError:
    """Say that this process has no room for descriptors sent to it."""
    return OSError(errno.EMFILE, "too few file descriptors (see ulimit -n)")


def encode_error(error: BaseException) -> list[Any]:
    """Name an error and its arguments; anything that is not ours becomes a WorkerError."""
    if isinstance(error, OcifastError):
        return [type(error).__name__, list(error.args)]
    if isinstance(error, OSError):
        if not error.errno:
            return ["OSError", [str(error)]]
        name = [error.filename] if isinstance(error.filename, str) else []
        return ["OSError", [error.errno, error.strerror, *name]]
    if isinstance(error, MemoryError):
        return ["MemoryError", []]
    return ["WorkerError", [f"{type(error).__name__} in a worker: {error}"]]


def decode_error(encoded: object) -> BaseException:
    """Make the error again; what is not in the tree, or does not fit, gives a WorkerError."""
    match encoded:
        case [str(name), list(arguments)] if name in _ERRORS:
            try:
                error = _ERRORS[name](*arguments)
                str(error)
            except (TypeError, ValueError, LookupError, AttributeError):
                return WorkerError(f"a worker reported a {name} that makes no sense")
            return error
    return WorkerError("a worker reported an error that is not one")
