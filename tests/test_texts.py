"""What strangers wrote is printed as one plain line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from signetscan.dataset.remarks import Remarks
from signetscan.texts import printable


@given(st.text())
def test_what_is_printed_is_one_plain_line(text: str) -> None:
    said = printable(text)
    assert said.isprintable()
    said.encode()
    assert printable(said) == said


@given(st.text(max_size=80), st.integers(4, 60))
def test_a_long_text_is_cut_after_it_is_escaped(text: str, most: int) -> None:
    whole, said = printable(text), printable(text, most)
    assert len(said) <= most
    assert said == whole if len(whole) <= most else said == f"{whole[: most - 3]}..."


def test_remarks_escape_the_names_of_strangers() -> None:
    remarks = Remarks()
    remarks.add("Left out", "\x1b[2Jcell\u202e\n", 2)
    remarks.add("Left out", "x" * 10_000)
    (line,) = remarks.lines()
    assert line.isprintable()
    assert r"\x1b[2Jcell\u202e\n (2)" in line
    assert len(line) < 300
