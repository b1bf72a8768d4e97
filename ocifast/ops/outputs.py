"""Where a conversion writes: the blobs of a run, and what images become of them.

A layout takes an image as soon as it is complete; an archive is written when the last image that
goes into it is there. Blobs of archives wait in a folder beside the destination, where the journal
is as well. Invariant: a blob that is kept as it is gets linked into a layout, and is copied into an
archive from where it lies: nothing of the input is ever copied to be read again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from typing import TYPE_CHECKING, Final, Self

from ocifast.errors import DigestMismatch, StoreError, UnsupportedError
from ocifast.ops.archive_writer import remove_replaced, write_archive, write_directory
from ocifast.ops.blob_places import BlobPlaces, digest_at
from ocifast.ops.finished_output import FinishedOutput, identity_of
from ocifast.ops.journal import Journal
from ocifast.spec.digest import Digest
from ocifast.spec.media_type import is_index
from ocifast.transports.blob_store import BlobStore
from ocifast.transports.finished_image import (
    FinishedImage,
    directory_members,
    docker_archive_members,
    oci_archive_members,
    repo_tag,
)
from ocifast.transports.layout_writer import add_to_layout, prepare_layout
from ocifast.transports.pending_file import sync_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ocifast.ops.output_names import OutputName
    from ocifast.ops.rebuild import Rebuilt
    from ocifast.transports.base import Opaque

__all__ = ["Output", "Outputs"]

BESIDE: Final = ".ocifast"
"""Ending of the folder that holds the journal, and blobs that wait, beside a destination."""


class Output:
    """One place that is written: a layout, an archive or a folder.

    `done` is the digest of what an earlier run has written here, if that was finished.
    """

    done: str | None = None

    def __init__(self, name: OutputName, places: BlobPlaces) -> None:
        self.name = name
        self._places = places
        self._names: dict[str, tuple[str, str]] = {}

    @property
    def takes_indexes(self) -> bool:
        """Whether images for several platforms can be written under one name."""
        return self.name.format != "docker-archive"

    def reference(self, names: Sequence[str]) -> str:
        """What the image is to be opened by when it is finished."""
        return reference(self.name, names)

    def claim(self, names: Sequence[str], identity: str, source: str) -> None:
        """Reserve names for an image of a source.

        Raises:
            StoreError: Another image of this run has one of them.
            UnsupportedError: Docker does not take one, and it shall.
        """
        for name in names:
            if self.name.format == "docker-archive":
                repo_tag(name)
            claimed, first = self._names.setdefault(name, (identity, source))
            if claimed != identity:
                reason = (
                    f"two different images of this run have this name: {first} has it (see --each)"
                )
                raise StoreError(self.name.path, name, reason)

    def finished(self, names: Sequence[str], rebuilt: Rebuilt) -> FinishedImage:
        """Put what an image has besides its layers into the store.

        Raises:
            DigestMismatch: Something that is copied as it is, is not what it was said to be.
            OSError: It cannot be written.
        """
        for raw in rebuilt.documents:
            self._places.store.put(raw)
        for opaque in rebuilt.opaque:
            self._copy(opaque)
        single = None if is_index(rebuilt.top.media_type or "") else rebuilt.images[0]
        return FinishedImage(
            top=rebuilt.top,
            blobs=rebuilt.blobs(),
            names=tuple(names),
            manifest=single.manifest if single else None,
            diff_ids=(single.diff_ids or ()) if single else (),
        )

    def _copy(self, opaque: Opaque) -> None:
        digest, size, location = opaque.descriptor.digest, opaque.descriptor.size, opaque.location
        if location is None or location.open is None or digest is None or size is None:
            raise UnsupportedError(f"{digest} cannot be copied out of a stream: unpack the archive")
        actual = digest_at(location, Digest(digest).algorithm)
        if actual != digest:
            raise DigestMismatch(digest, actual)
        self._places.keep(location, digest, size)

    def add(self, image: FinishedImage, number: int) -> bool:
        """Show an image that is complete; False when it has to wait for the others.

        `number` is its place among all images, in whichever order they come.
        """
        raise NotImplementedError

    def arrange(self) -> None:
        """Put the images that are shown in order. Raises as `add`."""


class LayoutOutput(Output):
    """An OCI layout, which grows by one image after the other."""

    def __init__(self, name: OutputName, places: BlobPlaces) -> None:
        super().__init__(name, places)
        prepare_layout(name.path)
        shared = os.path.realpath(places.store.root) == os.path.realpath(name.path)
        self._own = None if shared else BlobStore(name.path)
        self._shown: dict[int, FinishedImage] = {}

    def add(self, image: FinishedImage, number: int) -> bool:
        """Name an image whose blobs are all there."""
        for blob in image.blobs if self._own is not None else ():
            assert self._own is not None
            digest, size = str(blob.digest), blob.size or 0
            self._own.link(self._places.locate(digest), digest, size)
        add_to_layout(self.name.path, [(image.top, image.names)])
        self._shown[number] = image
        return True

    def arrange(self) -> None:
        """Name the images of this run last and in their order, so that bytes do not depend on time.

        Raises:
            DocumentError, StoreError: What is there is no longer an index.json.
            OSError: It cannot be read or written.
        """
        images = [image for _, image in sorted(self._shown.items())]
        add_to_layout(self.name.path, [(image.top, image.names) for image in images], arrange=True)


class FileOutput(Output):
    """An archive or a `dir:`, written at once when all its images are there."""

    def __init__(
        self,
        name: OutputName,
        places: BlobPlaces,
        journal: Journal,
        requests: Mapping[OutputName, str],
        *,
        overwrite: bool,
    ) -> None:
        super().__init__(name, places)
        self._journal = journal
        self._requests = requests
        self._overwrite = overwrite
        self._images: dict[int, FinishedImage] = {}
        self._path = os.path.abspath(name.path)
        earlier = journal.outputs.get(self._path)
        if earlier is not None and not earlier.is_there:
            earlier = None
        if earlier is not None and earlier.request == requests[name] != "":
            self.done = earlier.digest
            remove_replaced(self._path)
            sync_folder(os.path.dirname(self._path))  # the earlier run may have failed in this
        elif earlier is not None and earlier.request == "":  # lacks an image: replaced
            self._overwrite = True
        elif os.path.lexists(name.path) and not overwrite:
            is_folder = name.format == "dir" and os.path.isdir(name.path)
            if not is_folder or os.listdir(name.path):
                reason = "it is there already (see --overwrite)"
                raise FileExistsError(errno.EEXIST, reason, name.path)

    def add(self, image: FinishedImage, number: int) -> bool:
        """Keep an image until all are there."""
        self._images[number] = image
        return False

    def write(self) -> None:
        """Write the file or folder.

        Raises:
            UnsupportedError: It cannot hold such images, or so many.
            OSError: It cannot be written.
        """
        path, images = self.name.path, [image for _, image in sorted(self._images.items())]
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        if self.name.format == "dir":
            if len(images) != 1:
                raise UnsupportedError(f"a dir: holds one image, not {len(images)}: name one")
            members = directory_members(images[0])
            write_directory(
                path, members, self._places, overwrite=self._overwrite, finished=self._note
            )
        else:
            docker = self.name.format == "docker-archive"
            members = (docker_archive_members if docker else oci_archive_members)(images)
            write_archive(
                path, members, self._places, overwrite=self._overwrite, finished=self._note
            )

    def _note(self, status: os.stat_result) -> None:
        first = self._images[min(self._images)]
        digest, request = str(first.top.digest), self._requests[self.name]
        finished = FinishedOutput(self._path, digest, request, identity_of(status))
        self._journal.add_output(finished)


class Outputs:
    """All outputs of a run, their blobs and the journal; a context manager.

    `names` says what is asked of each (`request_of`). `complete` says whether the run came to its
    end: what it kept for a next one is then removed.
    """

    def __init__(
        self, destination: OutputName, names: Mapping[OutputName, str], *, overwrite: bool
    ) -> None:
        self._requests = dict(names)
        self._lacking: set[OutputName] = set()
        self._overwrite = overwrite
        self._by_name: dict[OutputName, Output] = {}
        paths = {name.path for name in names}
        # One layout keeps its own blobs; else they wait beside, or in, the folder of outputs.
        self._in_place = destination.format == "oci" and len(paths) == 1
        root = next(iter(paths)) if len(paths) == 1 else destination.path
        root = os.path.abspath(root)
        self._beside = root + BESIDE if len(paths) == 1 else os.path.join(root, BESIDE)
        self._root = root if self._in_place else self._beside
        self.journal = Journal(os.path.join(self._beside, "journal"))
        self.complete = False

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            if self._in_place and os.path.lexists(self._root) and not os.path.isdir(self._root):
                reason = "it is a file, and a layout is a folder"
                raise FileExistsError(errno.EEXIST, reason, self._root)
            stack.callback(self._leave)
            stack.enter_context(self.journal)
            if self._in_place:
                prepare_layout(self._root)
            store = stack.enter_context(BlobStore(self._root))
            self.places = BlobPlaces(store, linking=self._in_place)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.journal.close(keep=not self.complete, clear=self._clear)
        self._stack.close()

    def _clear(self) -> None:
        """Remove the blobs that waited for the end; nobody needs them."""
        if not self._in_place:
            shutil.rmtree(os.path.join(self._beside, "blobs"), ignore_errors=True)

    def _leave(self) -> None:
        """Remove the folder beside, unless something is kept in it."""
        with contextlib.suppress(OSError):
            os.rmdir(self._beside)

    @property
    def kept(self) -> str | None:
        """The folder that holds what the next run goes on from, if there is any."""
        return self._beside if os.path.lexists(self.journal.path) else None

    def arrange(self) -> None:
        """Put everything in the order of the sources. Raises as `Output.add`."""
        for output in self._by_name.values():
            output.arrange()

    def lack(self, name: OutputName) -> None:
        """Take note that an image of that output has failed."""
        self._requests[name] = ""
        self._lacking.add(name)

    def lacks(self, name: OutputName) -> bool:
        """Whether an image of that output has failed."""
        return name in self._lacking

    def get(self, name: OutputName) -> Output:
        """Give the output of that name.

        Raises:
            FileExistsError: There is something already.
            StoreError: It is not what could be added to.
            OSError: It cannot be made.
        """
        if name not in self._by_name:
            self._by_name[name] = (
                LayoutOutput(name, self.places)
                if name.format == "oci"
                else FileOutput(
                    name,
                    self.places,
                    self.journal,
                    self._requests,
                    overwrite=self._overwrite,
                )
            )
        return self._by_name[name]


def reference(name: OutputName, names: Sequence[str]) -> str:
    """What an image of an output is to be opened by."""
    named = names[0] if len(names) == 1 and name.format != "dir" else ""
    return f"{name.format}:{name.path}" + (f":{named}" if named else "")
