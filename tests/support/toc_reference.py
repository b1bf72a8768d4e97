"""How a tar is cut for a seekable layer; its TOC and tar-split, in plain Python."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import time

from ocifast._native.chunk import Chunker, crc64
from ocifast._native.toc_cut import UNIT_BYTES
from ocifast.formats.estargz import RESERVED, landmark
from ocifast.formats.zstd_chunked import TYPES
from ocifast.tree.entry import EntryKind

MIB = 1 << 20
LANDMARK = landmark()[0] + landmark()[1].ljust(512, b"\0")
encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Segments:
    """Bytes in the order they go into the blob, and where they are cut."""

    def __init__(self, is_eager):
        self.done, self.open, self.payload, self.is_eager = [], bytearray(), 0, is_eager

    def end(self):
        if self.open:
            self.done.append((bytes(self.open), self.payload))
        self.open, self.payload = bytearray(), 0

    def between(self, data):
        while data:
            if len(self.open) - self.payload == MIB:
                self.end()
            room = MIB - (len(self.open) - self.payload)
            self.open += data[:room]
            data = data[room:]
            if self.is_eager and len(self.open) - self.payload == MIB:
                self.end()

    def chunk(self, data, *, is_ended):
        self.end()
        self.open += data
        self.payload = len(data)
        if is_ended:
            self.end()


def cut_chunked(tar, entries):
    found, at = Segments(is_eager=True), 0
    for each in entries:
        found.between(tar[at : each.payload_offset])
        data = tar[each.payload_offset : each.payload_offset + each.stored_size]
        borders = Chunker().borders(data) if len(data) >= 16 << 10 else []
        for start, end in itertools.pairwise(sorted({0, *borders, len(data)})):
            found.chunk(data[start:end], is_ended=True)
        at = each.payload_offset + len(data)
    found.between(tar[at:])
    found.end()
    return found.done


def cut_estargz(tar, entries):
    found, at = Segments(is_eager=False), 0
    found.between(LANDMARK[:512])
    found.chunk(LANDMARK[512:513], is_ended=False)
    found.between(LANDMARK[513:])
    for each in entries:
        end = each.payload_offset + each.stored_size
        if each.path.removeprefix(b"./") not in RESERVED:
            found.between(tar[at : each.payload_offset])
            data = tar[each.payload_offset : end]
            for start in range(0, len(data), MIB):
                found.chunk(data[start : start + MIB], is_ended=False)
            found.between(bytes(-len(data) % 512))
        at = end + -end % 512
    found.end()
    return found.done


def units_of(segments):
    """How many segments each unit has."""
    sizes, count, size = [], 0, 0
    for data, _ in segments:
        count, size = count + 1, size + len(data)
        if size >= UNIT_BYTES:
            sizes.append(count)
            count = size = 0
    return [*sizes, count] if count else sizes


def moment(ns):
    seconds, rest = divmod(ns, 10**9)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{text}.{rest:09d}".rstrip("0") + "Z" if rest else f"{text}Z"


def second(ns):
    seconds = (ns + 500_000_000) // 10**9
    return moment(seconds * 10**9) if seconds else ""


def said(each, content, chunks):
    """What a TOC may say of an entry; chunks are (offset, end, bytes)."""
    is_file = each.kind is EntryKind.FILE
    several = len(chunks) > 1
    return {
        "name": each.path.decode(),
        "type": TYPES[each.kind],
        "linkName": each.link_target.decode(),
        "mode": each.mode,
        "size": each.size,
        "uid": each.uid,
        "gid": each.gid,
        "devMajor": each.dev_major,
        "devMinor": each.dev_minor,
        "xattrs": {k.decode(): base64.b64encode(v).decode() for k, v in each.xattrs},
        "digest": sha256(content) if is_file else "",
        "offset": chunks[0][0] if chunks else 0,
        "endOffset": chunks[-1][1] if chunks else 0,
        "chunkSize": len(chunks[0][2]) if several else 0,
        "chunkDigest": sha256(chunks[0][2]) if chunks else "",
    }


def chunked_lines(each, content, chunks):
    known = {**said(each, content, chunks), "modtime": moment(each.mtime_ns)}
    order = ("linkName", "mode", "size", "uid", "gid", "modtime", "devMajor", "devMinor")
    several = ["chunkSize", "chunkDigest"] if len(chunks) > 1 else []
    always = ["offset", "endOffset"] if chunks else []
    yield {
        **{key: known[key] for key in ("type", "name")},
        **{key: known[key] for key in (*order, "xattrs", "digest") if known[key]},
        **{key: known[key] for key in (*always, *several)},
    }
    at = 0
    for before, (offset, _, data) in itertools.pairwise(chunks):
        at += len(before[2])
        yield {
            "type": "chunk",
            "name": known["name"],
            "offset": offset,
            "chunkSize": len(data),
            "chunkOffset": at,
            "chunkDigest": sha256(data),
        }


def estargz_lines(each, content, chunks):
    known = {**said(each, content, chunks), "modtime": second(each.mtime_ns)}
    last = ("xattrs", "digest", "chunkSize", "chunkDigest")
    order = ("size", "modtime", "linkName", "mode", "uid", "gid", "offset", "devMajor", "devMinor")
    yield {
        **{key: known[key] for key in ("name", "type")},
        **{key: known[key] for key in (*order, *last) if known[key]},
    }
    at = 0
    for before, (offset, _, data) in itertools.pairwise(chunks):
        at += len(before[2])
        size = {"chunkSize": len(data)} if at + len(data) < each.size else {}
        yield {
            "name": known["name"],
            "type": "chunk",
            "offset": offset,
            "chunkOffset": at,
            **size,
            "chunkDigest": sha256(data),
        }


def toc_of(entries, segments, sizes, lines):
    at, stored = 0, []
    for (data, payload), size in zip(segments, sizes, strict=True):
        if payload:
            stored.append((at, at + size, data[:payload]))
        at += size
    found, chunks = [], iter(stored)
    for each in entries:
        content, own = b"", []
        while len(content) < each.stored_size:
            own.append(next(chunks))
            content += own[-1][2]
        found += lines(each, content, own)
    return found


def split_of(tar, entries):
    out, at = [], 0
    for each in [*entries, None]:
        raw = tar[at : len(tar) if each is None else each.payload_offset]
        for start in range(0, len(raw), MIB):
            part = base64.b64encode(raw[start : start + MIB]).decode()
            out.append({"type": 2, "payload": part})
        if each is None:
            break
        data = tar[each.payload_offset : each.payload_offset + each.stored_size]
        crc = base64.b64encode(crc64(data).to_bytes(8, "big")).decode()
        try:
            name = {"name": each.path.decode()}
        except UnicodeDecodeError:
            name = {"name_raw": base64.b64encode(each.path).decode()}
        size = {"size": len(data), "payload": crc} if data else {"payload": None}
        out.append({"type": 1, **name, **size})
        at = each.payload_offset + len(data)
    lines = (encode({**line, "position": number}) for number, line in enumerate(out))
    return "".join(line + "\n" for line in lines).encode()
