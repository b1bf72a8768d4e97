"""Messages between the engine and its workers: JSON and file descriptors, never bytes of a layer.

A worker reads hostile input, so what it sends is not unpickled: an error travels as the name of a
class of `ocifast.errors` (or OSError) and its arguments. Invariant: one message is one datagram of
a SEQPACKET socket, so there is no framing to get wrong.
"""

from __future__ import annotations

import json
import os
import socket
from typing import Any, Final

from ocifast import errors
from ocifast.errors import OcifastError, WorkerError

__all__ = ["decode_error", "encode_error", "receive", "send"]

MESSAGE_BYTES: Final = 160 << 10
DESCRIPTORS: Final = 4


def send(connection: socket.socket, message: dict[str, Any], descriptors: list[int]) -> None:
    """Send one message; the descriptors stay open here, the receiver gets its own."""
    data = json.dumps(message).encode()
    if len(data) > MESSAGE_BYTES:
        raise WorkerError(f"a message of {len(data)} bytes does not fit one datagram")
    if descriptors:
        socket.send_fds(connection, [data], descriptors)
    else:
        connection.send(data)


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Wait for one message; None when the other side is gone."""
    try:
        data, descriptors, _, _ = socket.recv_fds(
            connection, MESSAGE_BYTES, DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
        )
    except ConnectionResetError:
        return None
    if not data:
        for descriptor in descriptors:
            os.close(descriptor)
        return None
    return json.loads(data), descriptors


def encode_error(error: BaseException) -> list[Any]:
    """Name an error and its arguments; anything that is not ours becomes a WorkerError."""
    if isinstance(error, OcifastError):
        return [type(error).__name__, list(error.args)]
    if isinstance(error, OSError):
        return ["OSError", [error.errno, error.strerror]]
    if isinstance(error, MemoryError):
        return ["MemoryError", []]
    return ["WorkerError", [f"{type(error).__name__} in a worker: {error}"]]


def decode_error(encoded: list[Any]) -> BaseException:
    """Make the error again; a name that is not in the tree gives a WorkerError."""
    name, arguments = encoded
    if name == "OSError":
        return OSError(*arguments)
    if name == "MemoryError":
        return MemoryError()
    if name in errors.__all__:
        error: BaseException = getattr(errors, name)(*arguments)
        return error
    return WorkerError(f"a worker reported {name!r}")
