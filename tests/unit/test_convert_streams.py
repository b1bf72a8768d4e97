"""`convert` from what comes by once: pipes, compressed archives, documents last or first."""

import contextlib
import os
import threading

import pytest
from support.converting import run, snapshot, sound, truth, truths, watched
from support.images import (
    docker_files,
    layout_files,
    make_sample,
    tar_of,
    write_folder,
    write_tar,
)
from support.layers import squeeze

from ocifast.errors import OcifastError, StoreError

APP = make_sample(1, names=("example.com/team/app:1",))
TOOL = make_sample(2, names=("tool:2",))


@contextlib.contextmanager
def standard_input(data: bytes):
    """Let descriptor 0 be a pipe with this behind it."""
    saved = os.dup(0)
    reading, writing = os.pipe()
    os.dup2(reading, 0)
    os.close(reading)

    def fill() -> None:
        with contextlib.suppress(BrokenPipeError), open(writing, "wb") as pipe:
            pipe.write(data)

    thread = threading.Thread(target=fill)
    thread.start()
    try:
        yield
    finally:
        os.dup2(saved, 0)
        os.close(saved)
        thread.join()


def documents_first(files: dict) -> dict:
    small = {name: files[name] for name in files if name.endswith(".json") or "/" not in name}
    return small | files


ARCHIVES = {
    "docker": docker_files(APP, TOOL),
    "docker 29": docker_files(APP, TOOL, variant="C"),
    "containerd": docker_files(APP, TOOL, variant="D"),
    "skopeo": docker_files(APP, TOOL, variant="E"),
    "crane": docker_files(APP, TOOL, variant="F"),
    "layout": layout_files(APP, TOOL),
    "documents first": documents_first(docker_files(APP, TOOL, variant="E")),
    "layout, index last": dict(reversed(layout_files(APP, TOOL).items())),
}


@pytest.mark.parametrize("codec", ["plain", "gzip", "zstd"])
@pytest.mark.parametrize("name", ARCHIVES)
@pytest.mark.parametrize("to", ["oci", "docker-archive"])
def test_an_archive_comes_through_a_pipe(tmp_path, name: str, codec: str, to: str) -> None:
    with standard_input(squeeze(tar_of(ARCHIVES[name]), codec)):
        report = run("-", f"{to}:{tmp_path}/out")
    assert [image.names for image in report.images] == [APP.names, TOOL.names]
    assert truths(f"{to}:{tmp_path}/out") == truth(APP, TOOL)
    assert sound(f"{to}:{tmp_path}/out")
    assert os.listdir(tmp_path) == ["out"]


def test_an_archive_from_before_docker_1_10_comes_through_a_pipe(tmp_path) -> None:
    with standard_input(tar_of(docker_files(APP, variant="A"))):
        run("-", f"oci:{tmp_path}/pipe")
    run(write_tar(tmp_path / "a.tar", docker_files(APP, variant="A")), f"oci:{tmp_path}/file")
    assert snapshot(tmp_path / "pipe") == snapshot(tmp_path / "file")


def test_a_file_on_standard_input_is_read_at_random(tmp_path) -> None:
    path = write_tar(tmp_path / "a.tar", docker_files(APP, TOOL))
    saved = os.dup(0)
    try:
        with open(path, "rb") as file:
            os.dup2(file.fileno(), 0)
            run("-", f"oci:{tmp_path}/out")
    finally:
        os.dup2(saved, 0)
        os.close(saved)
    assert truths(f"oci:{tmp_path}/out") == truth(APP, TOOL)


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
@pytest.mark.parametrize("name", ARCHIVES)
def test_d05_a_compressed_archive_gives_what_a_plain_one_gives(tmp_path, name, codec) -> None:
    plain = write_tar(tmp_path / "plain.tar", ARCHIVES[name])
    squeezed = write_tar(tmp_path / "squeezed.tar", ARCHIVES[name], codec=codec)
    run(plain, f"oci:{tmp_path}/plain")
    run(squeezed, f"oci:{tmp_path}/squeezed")
    assert snapshot(tmp_path / "plain") == snapshot(tmp_path / "squeezed")


def test_d05_layers_of_a_compressed_archive_are_read_once_and_only_those_needed(tmp_path) -> None:
    path = write_tar(tmp_path / "a.tar.gz", docker_files(APP, TOOL, variant="E"), codec="gzip")
    _, events = watched(f"docker-archive:{path}:tool:2", f"oci:{tmp_path}/out")
    begun = [event.key for event in events if type(event).__name__ == "LayerStarted"]
    assert sorted(begun) == sorted(layer.diff_id for layer in TOOL.layers)


@pytest.mark.parametrize("prefix", ["", "./"])
def test_members_may_be_called_from_the_current_folder(tmp_path, prefix: str) -> None:
    data = tar_of(docker_files(APP), prefix=prefix)
    with standard_input(data):
        run("-", f"oci:{tmp_path}/out")
    assert truths(f"oci:{tmp_path}/out") == truth(APP)


def test_standard_input_and_files_go_into_one_output(tmp_path) -> None:
    path = write_tar(tmp_path / "a.tar", docker_files(APP))
    with standard_input(tar_of(docker_files(TOOL))):
        run([path, "-"], f"oci:{tmp_path}/out")
    assert truths(f"oci:{tmp_path}/out") == truth(APP, TOOL)


@pytest.mark.parametrize("to", ["oci", "docker-archive"])
def test_a_pipe_that_ends_early_gives_an_error_and_no_image(tmp_path, to: str) -> None:
    whole = tar_of(docker_files(APP, variant="E"))
    end = len(whole.rstrip(b"\0"))
    for at in (0, 100, 512, end // 3, end // 2, end - 600):
        with standard_input(whole[:at]), pytest.raises(OcifastError):
            run("-", f"{to}:{tmp_path}/out")
        assert not os.path.exists(tmp_path / "out") or truths(f"{to}:{tmp_path}/out") == {}


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_a_compressed_archive_that_ends_early_gives_an_error_and_no_image(tmp_path, codec) -> None:
    whole = squeeze(tar_of(docker_files(APP, variant="E")), codec)
    for at in (20, len(whole) // 3, len(whole) // 2, len(whole) - 9, len(whole) - 1):
        (tmp_path / "cut").write_bytes(whole[:at])
        with pytest.raises(OcifastError):
            run(f"{tmp_path}/cut", f"docker-archive:{tmp_path}/out.tar")
        assert not os.path.exists(tmp_path / "out.tar")


def test_a_layer_that_is_not_the_promised_one_is_refused_from_a_pipe_as_well(tmp_path) -> None:
    files = docker_files(APP, variant="E")
    first, second = (f"{layer.diff_id.removeprefix('sha256:')}.tar" for layer in APP.layers)
    files[first], files[second] = files[second], files[first]
    with standard_input(tar_of(files)), pytest.raises(OcifastError, match="diff_id"):
        run("-", f"oci:{tmp_path}/out")
    assert truths(f"oci:{tmp_path}/out") == {}


def test_a_pipe_of_which_one_image_is_wanted_gives_that_one(tmp_path) -> None:
    with standard_input(tar_of(docker_files(APP, TOOL))):
        run("docker-archive:-:tool:2", f"oci:{tmp_path}/out")
    assert truths(f"oci:{tmp_path}/out") == truth(TOOL)


def test_a_layout_that_was_unpacked_is_no_stream(tmp_path) -> None:
    path = write_folder(tmp_path / "in", docker_files(APP))
    run(path, f"oci:{tmp_path}/out")
    assert truths(f"oci:{tmp_path}/out") == truth(APP)
    with pytest.raises(StoreError, match="means a folder"):
        run(f"oci:{write_tar(tmp_path / 'a.tar', layout_files(APP))}", f"oci:{tmp_path}/no")
