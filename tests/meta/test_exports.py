"""What `ocifast` exports is what it says it exports, documented, and small."""

import inspect

import ocifast
import ocifast.errors


def test_all_is_sorted_and_complete() -> None:
    for name in ocifast.__all__:
        getattr(ocifast, name)  # some are loaded when they are first asked for
    public = {
        name
        for name, value in vars(ocifast).items()
        if not name.startswith("_")
        and not inspect.ismodule(value)
        and name not in {"annotations", "TYPE_CHECKING"}
    }
    assert list(ocifast.__all__) == sorted(ocifast.__all__)
    assert set(ocifast.__all__) - {"__version__"} == public
    assert len(set(ocifast.__all__) - set(ocifast.errors.__all__)) <= 40


def test_every_exported_name_has_a_docstring() -> None:
    for name in ocifast.__all__:
        value = getattr(ocifast, name)
        if inspect.isclass(value) or callable(value):
            text = inspect.getdoc(value) or ""
            generated = text.startswith(f"{name}(")  # what dataclass writes when nobody does
            assert text, f"{name} has no docstring"
            assert not generated, f"{name} has no docstring of its own"


def test_every_public_method_has_a_docstring() -> None:
    for cls in filter(inspect.isclass, (getattr(ocifast, name) for name in ocifast.__all__)):
        for name, value in vars(cls).items():
            is_method = inspect.isroutine(value) or isinstance(value, property)
            if is_method and not name.startswith("_"):
                assert inspect.getdoc(value), f"{cls.__name__}.{name} has no docstring"
