"""An output of an earlier run is kept only if it is what is asked for now, and still that file."""

import os

import pytest
from support.images import docker_files, make_sample, write_tar

from ocifast import convert, inspect
from ocifast.errors import OcifastError
from ocifast.ops.finished_output import FinishedOutput, identity_of

DIGEST = f"sha256:{1:064x}"


@pytest.fixture
def stopped(tmp_path):
    """A run of two archives, of which the second is broken: the first one's output is finished."""
    sources = []
    for number in (1, 2):
        sources.append(str(tmp_path / f"{number}.tar"))
        write_tar(sources[-1], docker_files(make_sample(number)))
    whole = (tmp_path / "2.tar").read_bytes()
    (tmp_path / "2.tar").write_bytes(whole[: len(whole) // 2])
    report = again(tmp_path, sources, keep_going=True)
    assert [image.exit_code for image in report.images] == [0, 4]
    (tmp_path / "2.tar").write_bytes(whole)
    return sources


def again(tmp_path, sources, **options):
    return convert(sources, f"oci-archive:{tmp_path}/out", each=True, workers=0, **options)


def test_a_finished_output_is_not_made_again(tmp_path, stopped):
    before = os.stat(tmp_path / "out" / "1.tar")
    report = again(tmp_path, stopped)
    assert [len(image.layers) for image in report.images] == [0, 2]
    assert os.stat(tmp_path / "out" / "1.tar").st_ino == before.st_ino
    assert sorted(os.listdir(tmp_path / "out")) == ["1.tar", "2.tar"]


def test_one_that_was_made_with_other_options_is_not_what_is_asked_for(tmp_path, stopped):
    with pytest.raises(FileExistsError):
        again(tmp_path, stopped, compress="zstd")
    report = again(tmp_path, stopped, compress="zstd", overwrite=True)
    assert {layer.media_type[-4:] for layer in report.layers} == {"zstd"}
    assert [len(image.layers) for image in report.images] == [2, 2]


def test_one_that_was_made_of_what_is_no_longer_the_source_is_not_either(tmp_path, stopped):
    write_tar(stopped[0], docker_files(make_sample(3)))
    with pytest.raises(FileExistsError):
        again(tmp_path, stopped)
    assert len(again(tmp_path, stopped, overwrite=True).images[0].layers) == 2


def test_one_that_somebody_has_replaced_is_not_taken_for_ours(tmp_path, stopped):
    (tmp_path / "out" / "1.tar").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        again(tmp_path, stopped)
    assert (tmp_path / "out" / "1.tar").read_bytes() == b"mine"


def test_an_identity_stays_with_a_file_that_is_renamed_and_not_with_one_that_is_written(tmp_path):
    path, other = tmp_path / "a", tmp_path / "b"
    path.write_bytes(b"1")
    finished = FinishedOutput(str(other), DIGEST, "", identity_of(os.stat(path)))
    assert not finished.is_there
    os.rename(path, other)
    assert finished.is_there
    other.write_bytes(b"22")
    assert not finished.is_there


def both(tmp_path, sources, **options):
    return convert(sources, f"oci-archive:{tmp_path}/both.tar", workers=0, **options)


@pytest.fixture
def half_broken(tmp_path):
    """Two archives, a layer of the second of which is not what its config says; and the cure."""
    sound, broken = make_sample(1), make_sample(2, names=("example.com/b:1",))
    sources = [
        write_tar(tmp_path / f"{n}.tar", docker_files(s)) for n, s in ((1, sound), (2, broken))
    ]
    path = tmp_path / "2.tar"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"folder-200/0", b"folder-2OO/0"))
    status = os.stat(path)

    def cure():
        with open(path, "r+b") as file:
            file.write(whole)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    return sources, cure


def test_an_archive_of_which_an_image_failed_is_not_written_unless_we_are_to_keep_going(
    tmp_path, half_broken
):
    sources, cure = half_broken
    with pytest.raises(OcifastError):
        both(tmp_path, sources)
    assert not (tmp_path / "both.tar").exists()
    cure()
    assert [len(image.layers) for image in both(tmp_path, sources).images] == [2, 2]


def test_what_was_written_without_an_image_that_failed_is_replaced_by_the_next_run(
    tmp_path, half_broken
):
    sources, cure = half_broken
    report = both(tmp_path, sources, keep_going=True)
    assert [image.exit_code for image in report.images] == [0, 4]
    assert len(inspect(f"oci-archive:{tmp_path}/both.tar").images) == 1
    cure()
    report = both(tmp_path, sources, keep_going=True)
    assert [len(image.layers) for image in report.images] == [2, 2]
    assert len(inspect(f"oci-archive:{tmp_path}/both.tar").images) == 2
    assert sorted(os.listdir(tmp_path)) == ["1.tar", "2.tar", "both.tar"]
