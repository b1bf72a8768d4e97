"""Names of files in a store: how they are cleaned, and where a link among them leads.

Pure functions of strings. *Invariant:* what comes out is relative, without empty, '.' and '..'
components, so that a name names one file only (hardening D01).
"""

from __future__ import annotations

from ocifast.errors import StoreError

__all__ = ["clean_name", "link_target"]


def clean_name(store: str, name: str) -> str:
    """Give the one spelling of a name; empty for the root.

    Raises:
        StoreError: It has a '..' component, or holds a NUL.

    Example:
        >>> clean_name("a.tar", "./blobs//sha256/"), clean_name("a.tar", "/manifest.json")
        ('blobs/sha256', 'manifest.json')
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in name:
        raise StoreError(store, name, "names with '..' components are refused")
    return "/".join(parts)


def link_target(store: str, name: str, target: str) -> str:
    """Give the name a symbolic link means: of a file in the same store.

    Raises:
        StoreError: It leads out of the store.

    Example:
        >>> link_target("a.tar", "0a/layer.tar", "../0b/layer.tar")
        '0b/layer.tar'
    """
    found = name.split("/")[:-1]
    if target.startswith("/") or "\0" in target:
        raise StoreError(store, name, "it is a link that leads out of the archive")
    for part in target.split("/"):
        if part == "..":
            if not found:
                raise StoreError(store, name, "it is a link that leads out of the archive")
            found.pop()
        elif part not in ("", "."):
            found.append(part)
    return "/".join(found)
