"""Slides in an archive that speaks DICOMweb: the same as their files, and a server that cannot be trusted."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from dicom_slides import CODINGS, GAPS, HEIGHT, WHOLE, WIDTH, picture, write_dicom_slide, write_parts, write_series
from dicomweb_server import BOUNDARY, Reply, Service, dicomweb_service, part

from signetscan.errors import OptionError, SlideError
from signetscan.info import SlideInfo, describe
from signetscan.slides import dicomweb, open_slide
from signetscan.slides.addresses import SeriesAddress, StudyAddress, is_loopback, parse_address, parse_place
from signetscan.slides.dicom_archive import archive_state, find_series, level_attributes
from signetscan.slides.dicom_files import open_dicom_files
from signetscan.slides.dicomweb import TOKEN_VARIABLE, TRIES, Archive, ArchiveError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECRET = "known-to-the-archive"  # noqa: S105 - it opens nothing


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    monkeypatch.setattr(dicomweb, "PAUSE_S", 0.001)
    with dicomweb_service() as running:
        yield running


def address_of(service: Service) -> str:
    return f"{service.url}/studies/1.2.3/series/1.2.3.5"


@pytest.mark.parametrize("left_out", [None, GAPS], ids=["full", "sparse"])
@pytest.mark.parametrize("coding", sorted(CODINGS))
def test_an_archived_slide_is_as_its_file(
    service: Service, tmp_path: Path, coding: str, left_out: tuple[tuple[int, int], ...] | None
) -> None:
    path = write_dicom_slide(tmp_path / "s.dcm", picture(), coding, left_out=left_out)
    service.add(path)
    with open_slide(address_of(service)) as slide, open_dicom_files(path) as file:
        assert (slide.name, slide.format_name, slide.decoder) == ("1.2.3.5", "dicom", "wsidicom")
        assert (slide.fingerprint, slide.mpp, slide.concerns) == (file.fingerprint, file.mpp, file.concerns)
        for location, size in (((0, 0), WHOLE), ((-9, 60), (80, 120))):
            ours, its = (one.read_window(location, 0, size) for one in (slide, file))
            np.testing.assert_array_equal(ours.pixels, its.pixels)
            assert (ours.missing is None) == (its.missing is None)
            if ours.missing is not None and its.missing is not None:
                np.testing.assert_array_equal(ours.missing, its.missing)


def test_levels_labels_and_parts(service: Service, tmp_path: Path) -> None:
    write_series(tmp_path)
    service.add(*tmp_path.glob("*.dcm"))
    with open_slide(address_of(service)) as slide:
        assert slide.level_dimensions == (WHOLE, (106, 78))
        np.testing.assert_array_equal(slide.read_region((0, 0), 1, (106, 78)), picture()[::2, ::2])
    study = parse_address(f"{service.url}/studies/1.2.3")
    assert isinstance(study, StudyAddress)
    assert [found.uid for found in find_series(study)] == ["1.2.3.5", "1.2.3.99"]
    with pytest.raises(SlideError, match=r"a study of 2 slides; name one, such as .*/series/1\.2\.3\.5"):
        open_slide(str(study))
    service.instances.clear()
    service.add(*write_parts(tmp_path))
    with open_slide(str(study)) as slide:
        np.testing.assert_array_equal(slide.read_region((0, 0), 0, WHOLE), picture())


def test_a_window_takes_few_requests_and_each_tile_one(service: Service, tmp_path: Path) -> None:
    service.add(*write_parts(tmp_path))
    with open_slide(address_of(service)) as slide:
        service.requests.clear()
        slide.read_region((0, 0), 0, (130, 130))
        slide.read_region((0, 0), 0, WHOLE)
        slide.read_region((0, 0), 0, WHOLE)
    asked = [path.partition("/frames/")[2].split(",") for _, path, _ in service.requests]
    assert len(asked) == 4, "the parts of the concatenation are asked one after the other"
    assert sum(map(len, asked)) == 12


def test_what_an_archived_slide_says_of_itself(service: Service, tmp_path: Path) -> None:
    service.add(write_dicom_slide(tmp_path / "s.dcm", picture(), "jpeg-ls"))
    found = describe(address_of(service))
    assert isinstance(found, SlideInfo)
    assert (found.file, found.dimensions, found.format_name) == ("1.2.3.5", (WIDTH, HEIGHT), "dicom")
    (attributes,) = level_attributes(series(service))
    assert (str(attributes.PatientName), attributes.SOPInstanceUID) == ("Müller^Jörg", "1.2.3.4")


def series(service: Service) -> SeriesAddress:
    address = parse_address(address_of(service))
    assert isinstance(address, SeriesAddress)
    return address


def test_the_state_of_a_series_changes_with_its_images(service: Service, tmp_path: Path) -> None:
    first, second = write_series(tmp_path), tmp_path / "b.dcm"
    service.add(first)
    before = archive_state(series(service))
    assert archive_state(series(service)) == before
    service.add(second)
    assert archive_state(series(service)) != before


def test_the_token_goes_to_the_archive_and_into_no_message(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    service.add(write_dicom_slide(tmp_path / "s.dcm", picture(), "jpeg-ls"))
    service.token = SECRET
    with pytest.raises(SlideError, match=rf"refuses access \(HTTP 401\): set {TOKEN_VARIABLE}"):
        open_slide(address_of(service))
    monkeypatch.setenv(TOKEN_VARIABLE, "another")
    with pytest.raises(SlideError, match="may have expired") as caught:
        open_slide(address_of(service))
    monkeypatch.setenv(TOKEN_VARIABLE, f" {SECRET}\n")
    with open_slide(address_of(service)) as slide:
        slide.read_region((0, 0), 0, WHOLE)
    assert {said for _, _, said in service.requests} == {None, "Bearer another", f"Bearer {SECRET}"}
    assert "another" not in str(caught.value)
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("service_url", "token", "why"),
    [
        ("http://archive.example/dicom-web", SECRET, "over http everybody on the way could read the token; use https"),
        ("http://127.0.0.1.example/dicom-web", SECRET, "use https"),
        ("https://archive.example/dicom-web", "two words", "holds no token"),
        ("https://archive.example/dicom-web", "line\r\nHost: other", "holds no token"),
    ],
)
def test_no_token_where_others_could_read_it(
    monkeypatch: pytest.MonkeyPatch, service_url: str, token: str, why: str
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, token)
    with pytest.raises(OptionError, match=why) as caught:
        Archive(service_url)
    assert token not in str(caught.value)


def test_loopback_is_known_by_its_address() -> None:
    assert all(map(is_loopback, ["http://127.0.0.1:80/a", "http://localhost/a", "http://[::1]:8042/a"]))
    assert not any(map(is_loopback, ["http://10.0.0.1/a", "http://localhost.example/a", "http://127.0.0.1.nip.io/a"]))


def test_a_redirect_to_another_server_is_not_followed(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.add(write_dicom_slide(tmp_path / "s.dcm", picture(), "jpeg-ls"))
    monkeypatch.setenv(TOKEN_VARIABLE, SECRET)
    with dicomweb_service() as other:
        to = f"{other.url}/studies/1.2.3"
        service.instead.append(lambda _: Reply(307, headers={"Location": to}))
        with pytest.raises(SlideError, match="sends the request on to another server, which is not followed"):
            open_slide(address_of(service))
        assert other.requests == []


def test_a_redirect_within_the_server_is_followed_a_few_times(service: Service, tmp_path: Path) -> None:
    service.add(write_dicom_slide(tmp_path / "s.dcm", picture(), "jpeg-ls"))

    def moved(path: str) -> Reply | None:
        return None if path.startswith("/dicom-web") else Reply(301, headers={"Location": f"/dicom-web{path[4:]}"})

    service.instead.append(moved)
    with open_slide(address_of(service).replace("/dicom-web", "/old")) as slide:
        slide.read_region((0, 0), 0, (8, 8))
    service.instead[:] = [lambda path: Reply(302, headers={"Location": path})]
    with pytest.raises(SlideError, match="again and again"):
        open_slide(address_of(service))


def fails(times: int, reply: Reply) -> Callable[[str], Reply | None]:
    """Replies so to the first requests."""
    left = [times]

    def instead(_: str) -> Reply | None:
        left[0] -= 1
        return reply if left[0] >= 0 else None

    return instead


def test_a_server_that_is_busy_is_asked_again(service: Service, tmp_path: Path) -> None:
    service.add(write_dicom_slide(tmp_path / "s.dcm", picture(), "jpeg-ls"))
    service.instead.append(fails(TRIES - 1, Reply(503)))
    with open_slide(address_of(service)) as slide:
        service.instead.append(fails(TRIES, Reply(500)))
        with pytest.raises(SlideError, match=r"1\.2\.3\.5: 127\.0\.0\.1 cannot answer \(HTTP 500\)"):
            slide.read_region((0, 0), 0, (8, 8))
        np.testing.assert_array_equal(slide.read_region((0, 0), 0, (8, 8)), picture()[:8, :8])


def test_a_server_that_is_not_there(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SlideError, match=r"has nothing at this address \(HTTP 404\)"):
        open_slide(address_of(service))
    gone = "http://127.0.0.1:9/studies/1.2.3/series/1.2.3.5"
    with pytest.raises(SlideError, match=r"127\.0\.0\.1 cannot be reached") as caught:
        open_slide(gone)
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(dicomweb, "READ_S", 0.05)
    service.instead.append(lambda _: slow())
    with pytest.raises(SlideError, match="did not answer in 0 s"):
        open_slide(address_of(service))


def slow() -> Reply:
    import time

    time.sleep(0.3)
    return Reply(404)


HTML = Reply(200, b"<html>Log in, please</html>", "text/html")


@pytest.mark.parametrize(
    "reply",
    [
        HTML,
        Reply(200, b"[" * 100_000),
        Reply(200, b'{"00080018": 1}'),
        Reply(200, b"[1, 2]"),
        Reply(200, json.dumps([{"00080018": {"vr": "UI", "Value": [1]}}]).encode()),
        Reply(200, json.dumps([{"0008001": {"vr": "UI"}}]).encode()),
        Reply(200, json.dumps([{"00080016": {"vr": "XX", "Value": [{}]}}]).encode()),
        Reply(200, b"[]"),
        Reply(204),
    ],
)
def test_answers_that_are_no_metadata_are_an_error_in_one_line(service: Service, reply: Reply) -> None:
    service.instead.append(lambda _: reply)
    with pytest.raises(SlideError, match=r"not understood|without a level|answers otherwise") as caught:
        open_slide(address_of(service))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (HTML, "answers otherwise than asked"),
        (part(b"x" * 100, "image/png"), "does not say in which transfer syntax"),
        (
            part(b"x" * 100, "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50"),
            r"in transfer syntax .*4\.50",
        ),
        (part(b"x" * 100, "image/jls; transfer-syntax=1.2.840.10008.1.2.4.80"), "cannot decode"),
        (part(bytes(1 << 18), "image/jls; transfer-syntax=1.2.840.10008.1.2.4.80"), "more than"),
        (Reply(200, b"", f"multipart/related; boundary={BOUNDARY}"), "with 0 tiles"),
        (Reply(200, b"--%s\r\nno end" % BOUNDARY.encode(), f"multipart/related; boundary={BOUNDARY}"), "cut short"),
    ],
)
def test_answers_that_are_no_tile_are_an_error(service: Service, tmp_path: Path, reply: Reply, why: str) -> None:
    service.add(write_dicom_slide(tmp_path / "s.dcm", picture(), "jpeg-ls"))
    with open_slide(address_of(service)) as slide:
        service.instead.append(lambda _: reply)
        with pytest.raises(SlideError, match=why) as caught:
            slide.read_region((100, 100), 0, (8, 8))
    assert "\n" not in str(caught.value)


def test_an_answer_that_does_not_end_is_not_kept(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.instead.append(lambda _: Reply(200, bytes(3000)))
    with Archive(service.url) as archive:
        assert len(archive.get("/a", accept="*/*", most_bytes=3000).body) == 3000
        with pytest.raises(ArchiveError, match="more than 2999 bytes"):
            archive.get("/a", accept="*/*", most_bytes=2999)
        monkeypatch.setattr(dicomweb, "ANSWER_S", -1.0)
        with pytest.raises(ArchiveError, match="has not completed its answer"):
            archive.get("/a", accept="*/*", most_bytes=3000)


def test_a_search_in_several_answers(service: Service, tmp_path: Path) -> None:
    """As of servers that give a part and a warning."""
    study = StudyAddress(service.url, "1.2.3")
    uids = [f"1.2.3.{number}" for number in range(5)]

    def instead(path: str) -> Reply:
        start = int(path.partition("offset=")[2] or 0)
        shown: list[Any] = [{"0020000E": {"vr": "UI", "Value": [uid]}} for uid in uids[start : start + 2]]
        more = {"Warning": '299 archive: "There are more"'} if start + 2 < len(uids) else {}
        return Reply(body=json.dumps(shown).encode(), headers=more)

    service.instead.append(instead)
    assert [found.uid for found in find_series(study)] == uids


@pytest.mark.parametrize(
    "text",
    [
        "https://archive/dicom-web",
        "https://archive/dicom-web/studies/",
        "https://archive/dicom-web/studies/1.2/series/",
        "https://archive/dicom-web/studies/1.2/instances/3",
        "https://archive/dicom-web/studies/1.2/../../secret",
        "https://archive/dicom-web/studies/1.2/series/..%2f",
        "https://archive/dicom-web/studies/" + "1" * 65,
        "https://archive/dicom-web/studies/1.2?token=x",
        "https://user:password@archive/studies/1.2",
        "https:///studies/1.2",
        "https://archive:port/studies/1.2",
        "http://[::1/studies/1.2",
        "https://archive/a b/studies/1.2",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse_address(text)
    assert "password" not in str(caught.value).replace("name or password", "")


def test_addresses_and_paths(tmp_path: Path) -> None:
    text = "https://archive.example:8443/a/dicom-web/studies/1.2.3/series/1.2.3.4"
    address = parse_place(text)
    assert isinstance(address, SeriesAddress)
    assert (str(address), address.name, address.study.service) == (
        text,
        "1.2.3.4",
        "https://archive.example:8443/a/dicom-web",
    )
    assert parse_place(f"{text}/") == address
    assert parse_place(str(tmp_path)) == tmp_path
