"""What tests of `verify` share."""

import shutil

import pytest
from support import images

from ocifast.engine import Engine
from ocifast.ops.verify import verify


@pytest.fixture(scope="package")
def here():
    """An engine in this process."""
    with Engine(workers=0) as engine:
        yield engine


@pytest.fixture
def check(here, tmp_path):
    """Write a store, verify it, and give what came out."""

    def run(files, form="oci", reader="", **options):
        place = tmp_path / "store"
        shutil.rmtree(place, ignore_errors=True)
        if form in ("oci", "dir", "folder"):
            path = images.write_folder(place, files)
        else:
            codec = "gzip" if form.endswith(".gz") else "plain"
            path = images.write_tar(tmp_path / "store.tar", files, codec=codec)
        transport = {"folder": "docker-archive:", "any": "", "any.gz": ""}.get(form, f"{form}:")
        return verify(f"{transport}{path}{reader}", engine=here, **options)

    return run
