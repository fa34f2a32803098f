"""Lines out of a stream of bytes, however it is cut, packed, or broken off."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.lines import Gunzip, LineSplitter, NotGzipError


def split(*parts: bytes, size_max: int = 100, first: int = 1) -> list[tuple[int, bytes | None]]:
    splitter = LineSplitter(first, size_max)
    return [tuple(line) for part in parts for line in splitter.feed(part)] + [tuple(line) for line in splitter.end()]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((), []),
        ((b"a\nb\n",), [(1, b"a"), (2, b"b")]),
        ((b"a\nb",), [(1, b"a"), (2, b"b")]),
        ((b"a", b"b\nc", b"\n"), [(1, b"ab"), (2, b"c")]),
        ((b"\n \n\ta\r\n\r\nb",), [(3, b"\ta\r"), (5, b"b")]),
        ((b"\xef\xbb\xbfa\n\xef\xbb\xbfb",), [(1, b"a"), (2, b"\xef\xbb\xbfb")]),
    ],
)
def test_lines_are_counted_blank_ones_too_and_those_are_left_out(parts, expected):
    assert split(*parts) == expected


def test_a_line_that_is_too_long_is_named_once_and_the_next_one_is_taken():
    parts = (b"a\n", b"x" * 60, b"x" * 60, b"x" * 200, b"x\nb\n", b"y" * 101 + b"\nc")
    assert split(*parts) == [(1, b"a"), (2, None), (3, b"b"), (4, None), (5, b"c")]


def test_what_is_too_long_is_not_kept():
    splitter = LineSplitter(1, 100)
    for _ in range(1_000):
        splitter.feed(b"x" * 90)
    assert len(splitter._rest) <= 100


def test_a_part_of_a_larger_whole_goes_on_counting():
    assert split(b"a\nb", first=50_001) == [(50_001, b"a"), (50_002, b"b")]


@given(st.lists(st.binary(max_size=130)), st.data())
def test_where_the_stream_is_cut_changes_nothing(lines, data):
    whole = b"\n".join(lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)))))
    parts = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert split(*parts) == split(whole)


@given(st.lists(st.binary(max_size=100_000), max_size=4), st.integers(1, 70_000))
def test_gzip_of_several_members_unpacks_to_the_same(members, step):
    packed = b"".join(map(gzip.compress, members))
    gunzip = Gunzip()
    found = [piece for at in range(0, len(packed), step) for piece in gunzip.feed(packed[at : at + step])]
    gunzip.end()
    assert b"".join(found) == b"".join(members)


def test_a_bomb_unpacks_in_pieces_of_256_kib():
    pieces = list(Gunzip().feed(gzip.compress(b"0" * 50_000_000)))
    assert max(map(len, pieces)) <= 256 * 1024
    assert sum(map(len, pieces)) == 50_000_000


@pytest.mark.parametrize("cut", [1, 20])
def test_gzip_that_breaks_off_or_is_none_is_told(cut):
    gunzip = Gunzip()
    list(gunzip.feed(gzip.compress(b"a\n" * 1000)[:-cut]))
    with pytest.raises(NotGzipError, match="too early"):
        gunzip.end()
    with pytest.raises(NotGzipError, match="not gzip"):
        list(Gunzip().feed(b'{"plain": 1}'))
