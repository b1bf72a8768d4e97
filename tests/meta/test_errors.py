"""Errors cross process borders: each survives pickling and is told from its arguments alone."""

import inspect
import pickle

import pytest

from ocifast import errors

CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, errors.OcifastError)
]
SAMPLES = {"str": "sample", "int": 7, "str | None": None, "int | None": None, "bytes": b"sample"}


def sample(cls: type[errors.OcifastError]) -> errors.OcifastError:
    """Make one, with arguments taken from the annotations of its constructor."""
    if not inspect.isfunction(cls.__init__):  # BaseException's own
        return cls("sample")
    parameters = list(inspect.signature(cls).parameters.values())
    assert all(p.kind == p.POSITIONAL_OR_KEYWORD for p in parameters)
    return cls(*(SAMPLES[str(p.annotation)] for p in parameters))


@pytest.mark.parametrize("cls", CLASSES)
def test_errors_survive_pickling(cls: type[errors.OcifastError]) -> None:
    error = sample(cls)
    for copy in (pickle.loads(pickle.dumps(error)), type(error)(*error.args)):
        assert type(copy) is cls
        assert copy.args == error.args
        assert str(copy) == str(error)
        assert vars(copy) == vars(error)


@pytest.mark.parametrize("cls", CLASSES)
def test_the_message_is_one_line_without_a_full_stop(cls: type[errors.OcifastError]) -> None:
    text = str(sample(cls))
    assert text
    assert "\n" not in text
    assert not text.endswith(".")


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_is_exported_documented_and_drawn_in_the_tree(
    cls: type[errors.OcifastError],
) -> None:
    assert cls.__name__ in errors.__all__
    assert cls.__doc__
    assert f"── {cls.__name__}" in errors.__doc__ or cls is errors.OcifastError
    assert cls.exit_code in {1, 2, 3, 4, 5, 6}


def test_exported_errors_are_sorted_and_exist() -> None:
    assert errors.__all__ == sorted(cls.__name__ for cls in CLASSES)
