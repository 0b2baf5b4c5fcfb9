"""What a process that opens no slide asks of archives; what that needs is imported when it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.extras import require

if TYPE_CHECKING:
    from signetscan.slides.addresses import SeriesAddress, StudyAddress


def series_of(study: StudyAddress) -> list[SeriesAddress]:
    """The slides of a study, at least one.

    Raises:
        SlideError: it has none, or the archive gives no answer.
        OptionError: the token for the archive cannot be used.
        MissingExtraError: wsidicom is not installed.
    """
    require("wsidicom")
    from signetscan.slides.dicom_archive import find_series  # noqa: PLC0415 - an extra, and slow to import

    return find_series(study)


def series_state(address: SeriesAddress) -> str:
    """A text that changes when the images of a series do: which these are, and what they hold.

    Raises:
        SlideError: the archive gives no answer.
        OptionError: the token for the archive cannot be used.
        MissingExtraError: wsidicom is not installed.
    """
    require("wsidicom")
    from signetscan.slides.dicom_archive import archive_state  # noqa: PLC0415 - an extra, and slow to import

    return archive_state(address)
