"""Headers of JPEG and JPEG 2000 data, which are hostile."""

from __future__ import annotations

import contextlib

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slide_files import abbreviated, aperio_ycbcr, jpeg, texture

from signetscan.slides.codestreams import (
    Frame,
    JpegCheck,
    check_bounded,
    check_jpeg2000,
    check_tables,
    jpeg2000_frame,
    jpeg_frame,
)

PIXELS = texture(24, 40)
WHOLE = jpeg(PIXELS)
EXPECTED = Frame(40, 24, 3)


def inserted(data: bytes, segment: bytes) -> bytes:
    """Put it after the start of the image."""
    return data[:2] + segment + data[2:]


@pytest.mark.parametrize(
    "options", [{}, {"subsampling": 0}, {"optimize": True}, {"restart_marker_blocks": 1}, {"comment": "a"}]
)
def test_the_output_of_encoders_is_accepted(options: dict[str, object]) -> None:
    data = jpeg(PIXELS, **options)
    frame = jpeg_frame(data)
    assert (frame.width, frame.height, frame.components, frame.kind) == (40, 24, 3, 0xC0)
    JpegCheck(EXPECTED)(data)
    JpegCheck(EXPECTED)(abbreviated(data)[0])
    check_tables(abbreviated(data)[1])


def test_fill_bytes_and_padding_are_accepted() -> None:
    JpegCheck(EXPECTED)(inserted(WHOLE, b"\xff\xff"))
    JpegCheck(EXPECTED)(WHOLE + bytes(5))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "header"),
        (WHOLE[1:], "header"),
        (WHOLE[:30], "header"),
        (inserted(WHOLE, b"x"), "header"),
        (inserted(WHOLE, b"\xff\x01"), "header"),
        (inserted(WHOLE, b"\xff\xd8"), "header"),
        (inserted(WHOLE, b"\xff\xd0"), "header"),
        (inserted(WHOLE, b"\xff\xfe\0\1"), "header"),
        (inserted(WHOLE, b"\xff\xd9"), "no image, or with two"),
        (inserted(WHOLE, b"\xff\xc0\0\x0b\x08\0\x18\0\x28\1\1\x11\0"), "no image, or with two"),
        (jpeg(PIXELS, progressive=True), "one pass"),
        (jpeg(texture(24, 48)), "48 x 24"),
        (jpeg(texture(32, 40)), "40 x 32"),
        (jpeg(PIXELS[..., 0]), "1 channel,"),
        (WHOLE[:-2], "cut short"),
        (WHOLE[:-20] + b"\xff\xff\xff" + WHOLE[-17:], "overwritten"),
        (WHOLE[:-20] + b"\xff\xd9" + WHOLE[-18:], "overwritten"),
        (WHOLE[:-20] + b"\xff\xc4" + WHOLE[-18:], "overwritten"),
    ],
)
def test_data_that_openslide_reads_differently_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        JpegCheck(EXPECTED)(data)


OTHERS = [
    WHOLE,
    jpeg(PIXELS[::-1].copy()),
    jpeg(PIXELS, optimize=True),
    jpeg(texture(24, 48)),
    jpeg(PIXELS, progressive=True),
    jpeg(PIXELS, restart_marker_blocks=1),
    b"",
]


@given(
    st.lists(
        st.tuples(st.sampled_from(OTHERS), st.integers(0, 1200), st.binary(max_size=3), st.integers(0, 3)), max_size=6
    )
)
def test_what_is_refused_does_not_depend_on_what_was_accepted_before(
    damaged: list[tuple[bytes, int, bytes, int]],
) -> None:
    """The header that is known spares reading the same again, and no more."""
    check = JpegCheck(EXPECTED)
    for data, at, other, kept in damaged:
        changed = data if kept == 0 else data[:at] + other + data[at + kept - 1 :]
        verdicts = []
        for judge in (check, JpegCheck(EXPECTED)):
            try:
                judge(changed)
                verdicts.append("")
            except ValueError as error:
                verdicts.append(str(error))
        assert verdicts[0] == verdicts[1]


def test_a_frame_does_not_hide_behind_a_marker_without_content() -> None:
    """To libjpeg such a marker ends at once; taken as one with content it would cover what follows."""
    frame = b"\xff\xc0\0\x11\x08\xff\xff\xff\xff\3\1\x22\0\2\x11\1\3\x11\1"
    cover = b"\xff\1" + frame + bytes(0xFFC0)
    with pytest.raises(ValueError, match="header"):
        jpeg_frame(inserted(WHOLE, cover[: 2 + 0xFFC0]))


def test_tables_that_hold_an_image_are_refused() -> None:
    tables = abbreviated(WHOLE)[1]
    frame = b"\xff\xc0\0\x0b\x08\xff\xff\xff\xff\1\1\x11\0"
    for bad in (WHOLE, inserted(tables, frame), inserted(tables, b"x" + frame), inserted(tables, b"\xff\1" + frame)):
        with pytest.raises(ValueError, match="its JPEG"):
            check_tables(bad)


def test_jpeg_2000() -> None:
    data = bytes(imagecodecs.jpeg2k_encode(PIXELS, codecformat="j2k"))
    assert jpeg2000_frame(data) == EXPECTED
    check_jpeg2000(data, EXPECTED)
    check_jpeg2000(aperio_ycbcr(PIXELS), EXPECTED)
    boxed = bytes(imagecodecs.jpeg2k_encode(PIXELS, codecformat="jp2"))
    deep = bytes(imagecodecs.jpeg2k_encode(PIXELS.astype(np.uint16), codecformat="j2k"))
    shifted = data[:19] + b"\1" + data[20:]
    for bad in (boxed, data[:40], data[:44], b"", deep, shifted):
        with pytest.raises(ValueError, match="JPEG 2000"):
            check_jpeg2000(bad, EXPECTED)
    with pytest.raises(ValueError, match="40 x 24"):
        check_jpeg2000(data, Frame(40, 25, 3))


def test_the_decoded_size_is_bounded_wherever_the_header_is() -> None:
    data = bytes(imagecodecs.jpeg2k_encode(PIXELS, codecformat="j2k"))
    boxed = bytes(imagecodecs.jpeg2k_encode(PIXELS, codecformat="jp2"))
    for stream, is_jpeg in ((WHOLE, True), (data, False), (boxed, False), (b"ab" + data, False)):
        check_bounded(stream, 40 * 24 * 3, is_jpeg=is_jpeg)
        with pytest.raises(ValueError, match="more than the strip or tile holds"):
            check_bounded(stream, 40 * 24 * 3 - 1, is_jpeg=is_jpeg)
    with pytest.raises(ValueError, match="more than the strip or tile holds"):
        check_bounded(data[:8] + b"\0\0\0\1" + data[12:] + data, 40 * 24 * 3 - 1, is_jpeg=False)


@given(st.binary(max_size=60), st.integers(0, len(WHOLE)), st.integers(0, 60))
def test_any_bytes_are_accepted_or_refused(noise: bytes, at: int, drop: int) -> None:
    data = WHOLE[:at] + noise + WHOLE[at + drop :]
    codestream = b"\xff\x4f\xff\x51" + noise
    with contextlib.suppress(ValueError):
        JpegCheck(EXPECTED)(data)
    with contextlib.suppress(ValueError):
        check_tables(data)
    with contextlib.suppress(ValueError):
        check_jpeg2000(codestream, EXPECTED)
    for stream, is_jpeg in ((data, True), (codestream, False)):
        with contextlib.suppress(ValueError):
            check_bounded(stream, 10, is_jpeg=is_jpeg)
