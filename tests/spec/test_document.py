"""Strict JSON: one text, one value, whoever reads it (rows J02 to J04)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocifast.errors import DocumentError
from ocifast.spec import document
from ocifast.spec.document import encode_json, parse_json

ACCEPTED = {
    b"{}": {},
    b" [ 1 , 2 ]\r\n\t": [1, 2],
    b'"\\u00e9\\/\\b\\n"': "é/\b\n",
    '"é\u2028\x7f"'.encode(): "é\u2028\x7f",
    b'"\\ud83d\\ude00"': "😀",
    b'"\\\\ud800"': "\\ud800",
    b'"\\\\u0000"': "\\u0000",
    b"-0": 0,
    b"9223372036854775807": (1 << 63) - 1,
    b"-9223372036854775807": 1 - (1 << 63),
    b"1e3": 1000.0,
    b"123.456e-7": 123.456e-7,
    b'{"a":{"k":1},"b":{"k":2}}': {"a": {"k": 1}, "b": {"k": 2}},
    b'{"foo":1,"Foo":2}': {"foo": 1, "Foo": 2},
    b'"[[[[{{{{::::,,,,\\"[["': '[[[[{{{{::::,,,,"[[',
    b"null": None,
}

REFUSED = [
    # numbers of J03
    *(b"NaN", b"-NaN", b"Infinity", b"-Infinity", b"nan", b"1e999", b"-1e999", b"1E400"),
    *(b"9223372036854775808", b"-9223372036854775808", b"1" * 5000, b"-" + b"1" * 5000),
    *(b"01", b"-01", b"+1", b".5", b"1.", b"1e", b"1e+", b"0x10", b"1_000", b"--1", b"-", b"2.e3"),
    "１".encode(),
    # strings of J03
    *(b'"', b"'a'", b'"\t"', b'"\n"', b'"\0"', b'"\x1f"', b'"\\x41"', b'"\\u12"', b'"\\u 041"'),
    *(b'"\\ud800"', b'"\\udfff"', b'"\\uD800\\n"', b'"\\udc00\\ud800"', b'["a",{"\\uDEAD":1}]'),
    *(b'"\\u0000"', b'{"a\\u0000":1}', b'[["\\u0000"]]', b'"\\"', b'"abc', b"abc", b'"\\'),
    # encodings of J03
    *(b"\xef\xbb\xbf{}", b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b"\xfe\xff\0{\0}", b"{\0}\0"),
    '"a"'.encode("utf-16"),
    '"a"'.encode("utf-16-le"),
    '"a"'.encode("utf-32"),
    # structure of J03
    *(
        b"",
        b" ",
        b"{}{}",
        b"{} x",
        b"{}\0",
        b"{}]",
        b"[1]//",
        b"/**/{}",
        b"{}\x0c",
        b"\xa0{}",
        b"1 2",
    ),
    *(
        b"[1,]",
        b"[,1]",
        b"[1 2]",
        b"[",
        b"]",
        b"{",
        b"}",
        b"[}",
        b"{]",
        b'{"a"}',
        b'{"a":}',
        b"[1,,2]",
    ),
    *(b'{"a":1,}', b"{a:1}", b"{1:1}", b"{null:1}", b'{"a" 1}', b'{"a":1 "b":2}', b"[1", b'{"a":1'),
    *(b"True", b"tru", b"nul", b"nulll", b"undefined", b"\\u0041", b'"a"\\'),
    # J02
    *(b'{"a":1,"a":1}', b'{"a":1,"\\u0061":2}', b'[[{"x":{"b":1,"c":2,"b":3}}]]', b'{"":1,"":2}'),
]


def parse(raw: bytes) -> object:
    return parse_json(raw, what="manifest", limit=document.CONFIG_BYTES)


@pytest.mark.parametrize("raw", ACCEPTED)
def test_j03_what_every_reader_agrees_about_is_read(raw: bytes) -> None:
    assert parse(raw) == ACCEPTED[raw]


@pytest.mark.parametrize("raw", REFUSED, ids=lambda raw: ascii(raw)[:30])
def test_j03_what_readers_disagree_about_is_refused(raw: bytes) -> None:
    with pytest.raises(DocumentError) as caught:
        parse(raw)
    assert caught.value.document == "manifest"
    assert len(str(caught.value)) < 200


def test_j02_a_repeated_key_is_named() -> None:
    with pytest.raises(DocumentError, match="'layers' stands twice"):
        parse(b'{"config":1,"layers":[],"x":{},"layers":[]}')


def test_j03_a_syntax_error_says_where() -> None:
    with pytest.raises(DocumentError) as caught:
        parse(b'{\n  "a": 1,\n  b\n}')
    assert caught.value.where == "line 3 column 3"


def test_j04_the_limit_of_bytes_is_inclusive_and_stated() -> None:
    assert parse_json(b"[1]", what="x", limit=3) == [1]
    with pytest.raises(DocumentError, match="it has 4 bytes, at most 3 are read"):
        parse_json(b"[12]", what="x", limit=3)


@pytest.mark.parametrize(("start", "end"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_j04_the_limit_of_depth_is_inclusive(start: bytes, end: bytes) -> None:
    parse(start * 63 + b"[]" + end * 63)
    with pytest.raises(DocumentError, match="nested deeper than 64"):
        parse(start * 64 + b"[]" + end * 64)


@pytest.mark.parametrize("raw", [b"[" * 1_000_000, b'{"a":' * 90_000, b"[{" * 500_000])
def test_j04_depth_is_refused_without_descending(raw: bytes) -> None:
    with pytest.raises(DocumentError, match=r"deeper|more than"):
        parse(raw)


def test_j04_brackets_in_strings_are_no_depth() -> None:
    value = ["[" * 1000, '\\"[[[{' * 100, {"{" * 100: "\\"}]
    assert parse(json.dumps(value).encode()) == value


def test_j04_keys_are_counted() -> None:
    parse(b"{" + b",".join(b'"%d":0' % n for n in range(100_000)) + b"}")
    with pytest.raises(DocumentError, match="more than 100000 keys"):
        parse(b"[" + b",".join([b'{"a":0}'] * 100_001) + b"]")


@pytest.mark.parametrize("item", [b"[]", b"{}", b"0", b'""'])
def test_j04_values_are_counted_before_they_are_made(item: bytes) -> None:
    with pytest.raises(DocumentError, match="more than 250000 values"):
        parse(b"[" + b",".join([item] * 500_000) + b"]")


def test_canonical_bytes_are_compact_utf8_in_the_order_given() -> None:
    value = {"z": 1, "a": ["é<&>\u2028", 1.5, True, None, {}], "\x01": '"\\/'}
    assert encode_json(value) == (
        '{"z":1,"a":["é<&>\u2028",1.5,true,null,{}],"\\u0001":"\\"\\\\/"}'.encode()
    )


def test_what_is_not_json_is_not_written() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode_json(float("nan"))
    with pytest.raises(ValueError, match="surrogates"):
        encode_json("\ud800")


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 62), 1 << 62)
    | TEXT
    | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner))


@given(VALUES)
def test_what_is_written_is_read_back(value: object) -> None:
    raw = encode_json(value)
    assert parse(raw) == value
    assert encode_json(parse(raw)) == raw


@given(st.binary(max_size=40) | TEXT.map(str.encode))
def test_any_bytes_give_a_value_or_a_document_error(raw: bytes) -> None:
    try:
        value = parse(raw)
    except DocumentError:
        return
    assert json.loads(raw) == value
