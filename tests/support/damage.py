"""Breaking one thing in a store, and saying what `verify` calls it."""

from support import images


def codes(verification):
    """What is wrong, by the names of the problems."""
    return [problem.code for problem in verification.problems]


def break_blob(files, blob, change):
    """A layout in which one blob is another."""
    name = images.blob_name(blob)
    return files | {name: change(files[name])}


def flip(data, at=None, mask=1):
    """Bytes of which one is another; the middle one, if none is named."""
    at = len(data) // 2 if at is None else at
    return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]


def naming(files, manifest):
    """A layout that names another manifest, given as a value."""
    raw = images.compact(manifest)
    entry = images.descriptor(raw, images.MANIFEST)
    return files | {images.blob_name(raw): raw, "index.json": images.index_json([entry])}
