"""`bundle`: an image becomes what an OCI runtime starts: a root file system and a config.json.

The order of things: what the config says is looked at first, then layers are unpacked, then the
user is looked up in them, and the folder is shown as a whole. Invariant: nothing that an image says
chooses a path, device, hook, binary or capability of the host; what fails leaves nothing.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ocifast.engine import Engine
from ocifast.engine.plan import BLOCK_SLOT_BYTES
from ocifast.errors import TreeError, UnsupportedError
from ocifast.ops.bundle_annotations import annotations_of
from ocifast.ops.bundle_config import ROOTFS, runtime_config
from ocifast.ops.bundle_options import BundleOptions
from ocifast.ops.bundle_process import RUNTIME_FOLDERS, find_process
from ocifast.ops.bundle_user import find_user
from ocifast.ops.bundling import BundleReport
from ocifast.ops.image_layers import open_runnable
from ocifast.ops.rooted_files import is_below, make_folders, read_rooted
from ocifast.ops.staging import FOLDER, TREE, Staging
from ocifast.ops.unpack import unpack
from ocifast.ops.unpack_options import mapped

if TYPE_CHECKING:
    from ocifast.ops.bundle_process import Process
    from ocifast.ops.bundle_user import User
    from ocifast.ops.progress import Progress
    from ocifast.ops.unpacking import UnpackReport
    from ocifast.spec.config import ImageConfig
    from ocifast.transports.base import Image

__all__ = ["bundle"]

CONFIG: Final = "config.json"
NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def bundle(
    source: str | os.PathLike[str] | Image,
    dest: str | os.PathLike[str],
    *,
    engine: Engine | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> BundleReport:
    """Make a bundle of an image, which is complete when it is seen: ``runc run -b DEST NAME``.

    Args:
        source: A reference or path, as `open_image` takes it, or an image.
        dest: The folder to make; it is not there yet, or empty.
        engine: Where to work; by default one is made for this call.
        workers: Worker processes of that engine; 0 works in this process.
        progress: Called with each `ocifast.ops.progress.Event`, in this thread.
        **options: The fields of `BundleOptions`.

    Raises:
        UnsupportedError: It is no image that runs on Linux, or does not say what to run.
        DocumentError: Its config says what cannot be run, or is refused.
        TreeError: A user is not in it, or something in it cannot be made here.
        OcifastError: It is malformed, or not what it promises.
        OSError: Something cannot be read or made; it is named.
        ValueError, TypeError: An option is not one.

    Example:
        >>> import os, ocifast
        >>> os.mkdir("tree")
        >>> packed = ocifast.pack_layer("tree", "oci:images:app", workers=0)
        >>> made = bundle("oci:images:app", "app", args=["/bin/app"], rootless=True, workers=0)
        >>> made.config["process"]["args"], sorted(os.listdir("app"))
        (['/bin/app'], ['config.json', 'rootfs'])
    """
    began = time.monotonic()
    for name in ("uid_map", "gid_map"):
        if name in options:
            options[name] = tuple(tuple(each) for each in options[name])
    if options.get("args") is not None:
        options["args"] = tuple(options["args"])
    chosen = BundleOptions(**options)
    with contextlib.ExitStack() as stack:
        _, image = open_runnable(
            source,
            platform=chosen.platform,
            profile=chosen.profile,
            limits=chosen.limits,
            stack=stack,
        )
        making = Making(image, chosen)
        staging = stack.enter_context(BundleStaging(os.fspath(dest), replace=chosen.replace))
        if engine is None:
            engine = stack.enter_context(Engine(workers, slot_bytes=BLOCK_SLOT_BYTES))
        rootfs = making.unpack(staging, engine, progress)
        config = making.finish(staging)
        staging.show(sync=chosen.sync)
    findings = dict.fromkeys((*image.findings, *making.findings, *filter(None, [staging.left])))
    return BundleReport(staging.path, config, rootfs, tuple(findings), time.monotonic() - began)


class BundleStaging(Staging):
    """A bundle before it is shown: `root` is the folder that gets its name.

    Raises:
        OSError: As `Staging`; also, something is mounted there: a bundle is not made in place.
    """

    def __init__(self, dest: str, *, replace: bool = False) -> None:
        try:
            super().__init__(dest, replace=replace)
        except OSError as error:
            if error.errno == errno.ENOTEMPTY:  # a bundle does not unpack over what is there
                error.strerror = re.sub(r"[:,] --keep.*", "", error.strerror or "")
            raise
        if self.in_place:
            self._close.close()
            reason = "something is mounted there: name a folder in it"
            raise OSError(errno.EBUSY, reason, dest)

    @property
    def rootfs(self) -> str:
        """Where the root file system is made, for whom takes a path."""
        beside = os.path.dirname(os.path.abspath(self.path))
        return os.path.join(beside, self._own, TREE, ROOTFS)

    def write(self, name: str, content: bytes) -> None:
        """Write a file of the bundle, which is not there yet."""
        descriptor = os.open(name, NEW_FILE, 0o644, dir_fd=self.root)
        with open(descriptor, "wb") as file:
            file.write(content)


class Making:
    """A bundle on its way; `findings` are sentences about what was tolerated.

    Raises as `bundle`, for what can be told before anything is unpacked.
    """

    def __init__(self, image: Image, options: BundleOptions) -> None:
        assert image.config is not None
        config: ImageConfig = image.config
        if config.os not in ("", "linux"):
            raise UnsupportedError(f"the image is for {config.os[:40]}, and bundles are for linux")
        self._image, self._options = image, options
        self._isolation = options.isolation
        self._process: Process = find_process(config.runtime, options.args, options.profile)
        self._annotations, left_out = annotations_of(config)
        self._user = config.runtime.user if options.user is None else options.user
        self.findings = [*self._process.findings, *left_out]

    def unpack(self, staging: BundleStaging, engine: Engine, tell: Progress | None) -> UnpackReport:
        """Make the root file system; errors name it as it will be called."""
        shown = os.path.join(staging.path, ROOTFS)
        try:
            report = unpack(
                self._image,
                staging.rootfs,
                engine=engine,
                progress=tell,
                **self._options.unpack_options(),
            )
        except OSError as error:
            if isinstance(error.filename, str):
                error.filename = error.filename.replace(staging.rootfs, shown, 1)
            raise
        return replace(report, path=shown)

    def finish(self, staging: BundleStaging) -> dict[str, Any]:
        """Look up in the root file system what has to be, and write the config; gives it."""
        root = os.open(ROOTFS, FOLDER, dir_fd=staging.root)
        try:
            user = self._find_user(root)
            self._own(staging.root, root)
            self._make_folder(root)
        finally:
            os.close(root)
        config = runtime_config(self._process, user, self._annotations, self._isolation)
        text = json.dumps(config, indent="\t", ensure_ascii=False, allow_nan=False)
        staging.write(CONFIG, text.encode() + b"\n")
        return config

    def _find_user(self, root: int) -> User:
        user = find_user(self._user, lambda path: read_rooted(root, path), self._options.profile)
        self.findings += user.findings
        uids, gids = self._isolation.uids, self._isolation.gids
        if not uids:
            return user
        for number, ranges, kind in ((user.uid, uids, "uid"), (user.gid, gids, "gid")):
            if mapped(number, ranges) is None:
                raise UnsupportedError(
                    f"the image runs as {kind} {number}, which its user namespace does not have: "
                    "choose another user, or give ranges of uids and gids that have it"
                )
        groups = tuple(each for each in user.groups if mapped(each, gids) is not None)
        if groups != user.groups and not self._options.rootless:
            self.findings.append("config: config.User: groups that have no range are left out")
        return replace(user, groups=groups)

    def _own(self, bundle: int, root: int) -> None:
        """Let root of a user namespace own what it starts in, and reach it."""
        owner = self._owner
        if owner is None:
            return
        status = os.fstat(root)
        if (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid()):
            os.fchown(root, *owner)
        # reach it, and not change it: config.json is what the host will do
        os.fchown(bundle, -1, owner[1])
        os.fchmod(bundle, 0o710)

    @property
    def _owner(self) -> tuple[int, int] | None:
        """Who root of the container is here, where files are given to anybody."""
        if self._options.rootless or not self._isolation.uids:
            return None
        uid, gid = mapped(0, self._isolation.uids), mapped(0, self._isolation.gids)
        return None if uid is None or gid is None else (uid, gid)

    def _make_folder(self, root: int) -> None:
        """Make the folder that the process starts in, if the image has none (B03)."""
        cwd = self._process.cwd

        def made(descriptor: int) -> None:
            os.fchmod(descriptor, 0o755)
            if self._owner is not None:
                os.fchown(descriptor, *self._owner)
            self.findings.append(f"config: config.WorkingDir: {cwd} was made")

        folder = make_folders(root, cwd, made)
        try:
            if any(is_below(root, folder, each) for each in RUNTIME_FOLDERS):
                raise TreeError(cwd, "it is a link into what the runtime mounts")
        finally:
            os.close(folder)
