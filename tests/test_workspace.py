"""The viewer of a folder of results: the work list, slides that are opened when needed, and reviewers."""

from __future__ import annotations

import io
import json
import shutil
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from PIL import Image
from served_viewer import SAMPLE, ask, content, said_in, sample_cells
from workspaces import NAMES, Folders, make_folders, write_result, write_segmentation_of

from signetscan.annotations import read_geojson
from signetscan.cli.main import cli
from signetscan.errors import OptionError, ResultError, SlideError
from signetscan.formats.result_files import reviewer_name
from signetscan.results.run_record import read_run_record
from signetscan.results.slide_finder import SlideFinder
from signetscan.results.slide_places import places_file, remember_slides, remembered_places
from signetscan.slides import ArraySlide, Bounds, open_slide
from signetscan.viewer import open_viewer, opened_slides, slide_opening, thumbnails, work_list
from signetscan.viewer.class_overlay import ClassOverlay
from signetscan.viewer.pages import LIST_PAGES, PAGES
from signetscan.viewer.server import ViewerServer
from signetscan.viewer.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from signetscan.json_values import Json

    Opening: TypeAlias = "Callable[[Folders], Workspace]"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return make_folders(tmp_path)


@pytest.fixture
def opening() -> Iterator[Opening]:
    """Opens workspaces, and closes them at the end."""
    with ExitStack() as stack:

        def open_(folders: Folders) -> Workspace:
            space = Workspace(folders.results, SlideFinder([folders.slides]))
            stack.callback(space.close)
            return space

        yield open_


@pytest.fixture
def space(folders: Folders, opening: Opening) -> Workspace:
    return opening(folders)


@pytest.fixture
def served(space: Workspace) -> Iterator[ViewerServer]:
    with ViewerServer(space) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.shutdown()


def got(space: Workspace, address: str) -> Any:  # noqa: ANN401 - any JSON
    reply = space.get(address)
    assert reply.status == 200, reply.body
    return json.loads(reply.body)


def rows(space: Workspace) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in got(space, "/work.json")["slides"]}


def say(space: Workspace, slide: int, **asked: object) -> int:
    session = got(space, f"/slide/{slide}/slide.json")["session"]
    return space.post(f"/slide/{slide}/marks", {"session": session, **asked}).status  # type: ignore[dict-item]


def test_the_list_needs_no_slide_open(folders: Folders, opening: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(slide_opening, "open_slide", refuse)
    monkeypatch.setattr("signetscan.results.slide_finder.open_slide", refuse)
    work = got(opening(folders), "/work.json")
    assert (work["folder"], work["reviewer"], work["known_slides"]) == ("results", None, 3)
    slides = {row["name"]: row for row in work["slides"]}
    assert list(slides) == ["a", "b", "bad", "ward/c"]
    assert slides["bad"]["failure"] == "bad.svs: not a slide"
    assert not slides["bad"]["can_open"]
    assert [slides[name]["detections"] for name in NAMES] == [72, 69, 66]
    assert all(slides[name]["found"] and slides[name]["review"] is None for name in NAMES)
    assert slides["a"]["per_mm2"] == 144
    assert (slides["a"]["model"], slides["bad"]["threshold"]) == ("test", None)
    assert 0 < slides["a"]["threshold"] < 1


def test_a_slide_is_served_below_its_number_as_it_is_alone(space: Workspace) -> None:
    number = rows(space)["ward/c"]["number"]
    facts = got(space, f"/slide/{number}/slide.json")
    assert (facts["name"], facts["detections"], facts["file"]) == ("ward/c", 66, "c.corrected.geojson")
    for address in (*PAGES, "/marks.json", "/detections.bin", "/crops/0.jpg", "/tiles/10/0_0.jpg"):
        assert space.get(f"/slide/{number}{address}").status == 200, address
    for address in LIST_PAGES:
        assert space.get(address).status == 200, address


def test_marks_go_to_the_slide_and_the_list_counts_them(space: Workspace, folders: Folders) -> None:
    number = rows(space)["ward/c"]["number"]
    assert say(space, number, changes=[{"action": "accept", "number": 3}, {"action": "reject", "number": 4}]) == 200
    assert say(space, number, action="add", box=[5, 5, 50, 50], label=0) == 200
    assert said_in(folders.results / "ward" / "c.corrected.geojson").names == (
        "Signet ring cell",
        "Ignore*",
        "Signet ring cell",
    )
    review = rows(space)["ward/c"]["review"]
    assert review == {
        "known": True, "decided": 2, "accepted": 1, "rejected": 1, "added": 1, "regions": 0, "done": False,
    }  # fmt: skip
    facts = got(space, f"/slide/{number}/slide.json")
    assert say(space, number, action="reviewed", box=[0, 0, facts["width"], facts["height"]]) == 200
    assert rows(space)["ward/c"]["review"]["done"]
    assert rows(space)["a"]["review"] is None


def test_a_file_that_another_program_saved_says_so(space: Workspace, folders: Folders) -> None:
    (folders.results / "a.corrected.geojson").write_text('{"type":"FeatureCollection","features":[]}')
    assert rows(space)["a"]["review"] == {"known": False}


def test_few_slides_are_open_at_once_and_their_marks_stay(
    space: Workspace, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened_slides, "MOST_OPEN", 2)
    slides = rows(space)
    first = slides["a"]["number"]
    session = got(space, f"/slide/{first}/slide.json")["session"]
    assert space.post(f"/slide/{first}/marks", {"session": session, "action": "accept", "number": 0}).status == 200
    for name in ("b", "ward/c"):
        got(space, f"/slide/{slides[name]['number']}/slide.json")
    assert space._slides.count == 2
    assert len(got(space, f"/slide/{first}/marks.json")["marks"]) == 1
    late = space.post(f"/slide/{first}/marks", {"session": session, "action": "reject", "number": 0})
    assert late.status == 409, "a page of before may know drawn boxes by other numbers"
    assert said_in(folders.results / "a.corrected.geojson").names == ("Signet ring cell",)
    assert space.post(f"/slide/{first}/marks", {"action": "reject", "number": 0}).status == 400


def test_a_slide_whose_marks_are_not_saved_stays_open(
    space: Workspace, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk: closing it would lose them."""
    monkeypatch.setattr(opened_slides, "MOST_OPEN", 1)
    slides = rows(space)
    marks = folders.results / "a.corrected.geojson"
    session = got(space, f"/slide/{slides['a']['number']}/slide.json")["session"]
    marks.mkdir()
    change: dict[str, Json] = {"session": session, "action": "accept", "number": 0}
    assert json.loads(space.post(f"/slide/{slides['a']['number']}/marks", change).body)["problem"]
    for name in ("b", "ward/c", "b"):
        got(space, f"/slide/{slides[name]['number']}/slide.json")
    marks.rmdir()
    saved = space.post(f"/slide/{slides['a']['number']}/save", {"session": session})
    assert json.loads(saved.body)["problem"] is None
    assert len(said_in(marks)) == 1
    got(space, f"/slide/{slides['b']['number']}/slide.json")
    assert space._slides.count == 1


def test_a_slide_that_comes_later_is_found(tmp_path: Path, opening: Opening) -> None:
    folders = make_folders(tmp_path, ["a"], missing=["a"])
    space = opening(folders)
    number = rows(space)["a"]["number"]
    assert space.get(f"/slide/{number}/slide.json").status == 409
    shutil.copy(SAMPLE, folders.slides / "a.svs")
    assert space.get(f"/slide/{number}/slide.json").status == 200
    assert rows(space)["a"]["found"]


@pytest.mark.slow
def test_many_requests_at_once_lose_no_mark(
    space: Workspace, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With fewer slides open than are asked for, so that they are opened and closed all the time."""
    monkeypatch.setattr(opened_slides, "MOST_OPEN", 2)
    slides = rows(space)
    problems: list[object] = []

    def review(name: str) -> None:
        number = slides[name]["number"]
        for cell in range(4):
            status = 0
            for _ in range(500):
                status = say(space, number, action="accept", number=cell)
                if status != 409:  # opened anew between the two requests
                    break
            if status != 200 or space.get(f"/slide/{number}/tiles/12/0_0.jpg").status != 200:
                problems.append((name, cell, status))

    threads = [threading.Thread(target=review, args=(name,)) for name in NAMES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    for name in NAMES:
        assert len(said_in(folders.results / f"{name}.corrected.geojson")) == 4


def test_two_reviewers_have_files_apart(space: Workspace, folders: Folders, opening: Opening) -> None:
    number = rows(space)["a"]["number"]
    for name, action in (("Anna", "accept"), ("Ben  Müller", "reject"), ("", "accept")):
        assert space.post("/reviewer", {"name": name}).status == 200
        assert got(space, f"/slide/{number}/marks.json")["marks"] == []
        assert say(space, number, action=action, number=0) == 200
    assert [path.name for path in sorted(folders.results.glob("a.corrected*"))] == [
        "a.corrected.anna.geojson",
        "a.corrected.ben-müller.geojson",
        "a.corrected.geojson",
    ]
    assert rows(space)["a"]["others"] == ["anna", "ben-müller"]
    again = opening(folders)
    assert again.reviewer == "", "the last name is remembered"


@pytest.mark.parametrize("name", ["../x", "a/b", "a\\b", "-", "x" * 41, "a\0", "con:", "<b>", "\u202eabc"])
def test_a_name_leads_into_no_other_folder(space: Workspace, name: str) -> None:
    assert reviewer_name(name) == ""
    assert space.post("/reviewer", {"name": name}).status == 400
    assert space.post("/reviewer", {"name": 3}).status == 400


@pytest.mark.parametrize(
    "address",
    ["/slide/", "/slide/0", "/slide/99/", "/slide/-1/", "/slide/0/../a.csv", "/slide/0/%2e%2e/a.csv", "/slide/a/",
     "/slide/0//", "/slide/00000000/", "/slide/0/slide/0/", "/../results/a.csv", "/a.csv", "/results/a.csv",
     "/slide/0/a.csv", "/slide/0/crops/99999.jpg", "/slide/0/crops/-1.jpg", "/slide/0/classes.json",
     "/slide/0/work.json",
     "/slide/\u0663/", "/slide/0/tiles/99/0_0.jpg"],
)  # fmt: skip
def test_nothing_else_is_served(space: Workspace, address: str) -> None:
    assert space.get(address).status == 404
    assert space.post(address, {}).status in {400, 404}


def test_only_who_has_the_token_sees_slides(served: ViewerServer) -> None:
    for path in ("/", "/work.json", "/slide/0/", "/slide/0/slide.json", "/slide/0/crops/0.jpg", "/slide/0/gallery"):
        assert ask(served, path).status == 200, path
        assert ask(served, path, Cookie=None).status == 403, path
        assert ask(served, path, Host="evil.example").status == 421, path
        if path != "/":
            assert ask(served, f"{path}?token={served.token}", Cookie=None).status == 403
    session = json.loads(content(ask(served, "/slide/0/slide.json")))["session"]
    body = json.dumps({"session": session, "action": "accept", "number": 0}).encode()
    for path, sent in (("/slide/0/marks", body), ("/reviewer", b'{"name":"x"}')):
        assert ask(served, path, method="POST", body=sent, Origin="http://evil.example").status == 403
        assert ask(served, path, method="POST", body=sent, Cookie=None).status == 403
        assert ask(served, path, method="POST", body=sent).status == 200


def test_a_slide_that_is_not_there_is_said(tmp_path: Path, opening: Opening) -> None:
    folders = make_folders(tmp_path, ["a", "b"], missing=["b"])
    (folders.slides / "a.svs").unlink()
    (folders.slides / "b.svs").write_bytes(b"no slide")
    space = opening(folders)
    slides = rows(space)
    assert (slides["a"]["found"], slides["b"]["found"]) == (False, True)
    for name in ("a", "b"):
        reply = space.get(f"/slide/{slides[name]['number']}/slide.json")
        assert reply.status == 409
        assert f"the slide of {name} is not among the 1 slide" in reply.body.decode()
    assert space.get(f"/slide/{slides['a']['number']}/").status == 200, "its page says so"


def test_a_slide_with_a_pseudonym_is_found_by_its_content(tmp_path: Path, opening: Opening) -> None:
    folders = make_folders(tmp_path, ["a"])
    (folders.slides / "a.svs").rename(folders.slides / "patient.svs")
    space = opening(folders)
    (row,) = [row for row in rows(space).values() if row["can_open"]]
    assert not row["found"]
    assert got(space, f"/slide/{row['number']}/slide.json")["width"] == 4200


def test_damaged_and_new_results_are_told(space: Workspace, folders: Folders) -> None:
    numbers = {name: row["number"] for name, row in rows(space).items()}
    (folders.results / "a.run.json").write_text("{")
    write_result(folders.results / "new", sample_cells())
    now = rows(space)
    assert now["a"]["failure"] == work_list.DAMAGED
    assert {name: now[name]["number"] for name in numbers} == numbers, "numbers stay"
    assert now["new"]["number"] == len(numbers)
    assert space.get(f"/slide/{numbers['a']}/slide.json").status == 409


def test_where_slides_are_is_remembered_once_it_was_said(folders: Folders) -> None:
    with open_viewer(folders.results, folders.slides) as server:
        assert server.viewer.warnings == ()
    with open_viewer(folders.results) as server:
        assert server.viewer.warnings == ()
    with open_viewer(folders.results / "a.csv") as server:
        assert server.viewer.warnings == ()
    assert places_file().stat().st_mode & 0o077 == 0, "only the user can read it"


def test_where_slides_with_pseudonyms_are_is_not_remembered(tmp_path: Path) -> None:
    folders = make_folders(tmp_path, ["a"])
    write_result(folders.results / "p", sample_cells(), place="")
    with open_viewer(folders.results, folders.slides):
        pass
    assert not places_file().exists()
    with open_viewer(folders.results) as server:
        (warning,) = server.viewer.warnings
        assert "nobody knows where the slides are" in warning


def test_places_are_bounded_and_damage_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signetscan.results.slide_places.MOST_RESULTS", 3)
    slides = tmp_path / "slides"
    slides.mkdir()
    for number in range(5):
        remember_slides(tmp_path / f"r{number}", [slides / f"{index}.svs" for index in range(60)])
    assert remembered_places(tmp_path / "r0") == []
    assert remembered_places(tmp_path / "r4" / "below") == [slides]
    assert remembered_places(tmp_path) == [slides], "of results below"
    places_file().write_text("{")
    assert remembered_places(tmp_path / "r4") == []
    remember_slides(tmp_path / "r4", [slides])
    assert remembered_places(tmp_path / "r4") == [slides]


def test_what_cannot_be_opened_is_said(tmp_path: Path, folders: Folders) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ResultError, match="no results"), open_viewer(tmp_path / "empty"):
        pass
    for slide, why in ((tmp_path / "gone", "no such file"), (tmp_path / "empty", "no slide in this folder")):
        with pytest.raises(OptionError, match=why), open_viewer(folders.results, slide):
            pass


def mirrored(path: Path) -> Path:
    """Another slide, whose pixels are those of the sample turned round."""
    path.parent.mkdir(parents=True)
    tifffile.imwrite(path, tifffile.imread(SAMPLE, key=0)[:1024, ::-1], tile=(256, 256), photometric="rgb",
                     resolution=(40000, 40000), resolutionunit="CENTIMETER")  # fmt: skip
    return path


def test_marks_are_never_shown_over_another_slide(tmp_path: Path) -> None:
    """A slide of the same name that was not scanned is refused, alone or in a folder, before anything is noted."""
    folders = make_folders(tmp_path / "one", ["s"])
    with open_viewer(folders.results, folders.slides / "s.svs") as server:
        session = json.loads(server.viewer.get("/slide.json").body)["session"]
        accepted: dict[str, Json] = {"session": session, "action": "accept", "number": 0}
        assert server.viewer.post("/marks", accepted).status == 200
    noted = places_file().read_bytes()
    other = mirrored(tmp_path / "other" / "s.tif")
    for slide in (other, other.parent):
        with pytest.raises(OptionError, match="result in") as told, open_viewer(folders.results, slide):
            pass
        assert str(slide) in str(told.value)
        assert told.value.options == ("slide",)
    assert places_file().read_bytes() == noted
    done = CliRunner().invoke(cli, ["view", str(folders.results), "--slide", str(other), "--no-browser"])
    assert done.exit_code == 2
    assert "no result in" in done.stderr
    with open_viewer(folders.results) as server:
        assert len(json.loads(server.viewer.get("/marks.json").body)["marks"]) == 1


def test_a_slide_that_cannot_be_read_is_no_slide_of_results(tmp_path: Path) -> None:
    folders = make_folders(tmp_path, ["a"])
    (tmp_path / "a.svs").write_bytes(b"no slide")
    with pytest.raises(SlideError), open_viewer(folders.results, tmp_path / "a.svs"):
        pass
    (folders.slides / "a.svs").rename(folders.slides / "patient.svs")
    (folders.slides / "a.svs").write_bytes(b"no slide")
    with open_viewer(folders.results, folders.slides) as server:
        assert server.viewer.get("/slide/0/slide.json").status == 200, "found by its content"


def test_the_only_slide_of_a_folder_has_the_addresses_of_a_single_one(tmp_path: Path, opening: Opening) -> None:
    """Programs that ask for marks need not know whether a file of results or their folder was named."""
    folders = make_folders(tmp_path, ["a"])
    space = opening(folders)
    number = rows(space)["a"]["number"]
    assert got(space, "/slide.json") == got(space, f"/slide/{number}/slide.json")
    assert space.post("/marks", {"action": "accept", "number": 5}).status == 200
    assert [mark["number"] for mark in got(space, f"/slide/{number}/marks.json")["marks"]] == [5]
    assert got(space, "/marks.json") == got(space, f"/slide/{number}/marks.json")
    assert space.get("/tiles/10/0_0.jpg").body == space.get(f"/slide/{number}/tiles/10/0_0.jpg").body
    assert b"Who reviews" in space.get("/").body, "the page is the work list"
    write_result(folders.results / "b", sample_cells())
    got(space, "/work.json")
    assert space.get("/marks.json").status == space.post("/marks", {"action": "undo"}).status == 404


# ---- pictures of the slides -----------------------------------------------------------------------------------------


def test_the_list_has_small_pictures_of_the_slides(
    tmp_path: Path, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = make_folders(tmp_path, ["a", "b", "gone"], missing=["gone"])
    (folders.slides / "b.svs").write_bytes(b"no slide")
    space = opening(folders)
    numbers = {name: row["number"] for name, row in rows(space).items()}
    got_ = {name: space.get(f"/slide/{number}/thumbnail.jpg") for name, number in numbers.items()}
    assert [got_[name].kind for name in ("a", "b", "gone", "bad")] == ["image/jpeg", *3 * ["image/svg+xml"]]
    picture = Image.open(io.BytesIO(got_["a"].body))
    assert picture.width == 128
    assert picture.width / picture.height == pytest.approx(4200 / 2120, rel=0.03)
    with open_slide(SAMPLE) as slide:
        level = len(slide.level_downsamples) - 1
        whole = slide.read_window((0, 0), level, slide.level_dimensions[level]).pixels
    wanted = np.asarray(Image.fromarray(whole).resize(picture.size, Image.Resampling.BICUBIC), np.float64)
    assert np.abs(np.asarray(picture, np.float64) - wanted).mean() < 7, "10 if it were shifted by a pixel"
    assert space._slides.count == 0, "no slide stays open for it"
    opened: list[object] = []
    monkeypatch.setattr(thumbnails, "open_slide", opened.append)
    assert space.get(f"/slide/{numbers['a']}/thumbnail.jpg") == got_["a"]
    assert opened == [], "it is kept"


def test_a_picture_of_a_slide_without_small_levels_is_not_waited_for(
    tmp_path: Path, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnails, "MOST_READ", 1000)
    space = opening(make_folders(tmp_path, ["a"]))
    assert space.get(f"/slide/{rows(space)['a']['number']}/thumbnail.jpg") == thumbnails.PLACEHOLDER


def test_a_picture_shows_the_part_of_a_slide_that_has_pixels() -> None:
    pixels = np.full((900, 1200, 3), 255, np.uint8)
    pixels[300:600, 600:1000] = (200, 0, 0)
    slide = ArraySlide([pixels], mpp=0.5, name="made", bounds=Bounds(600, 300, 400, 300))
    picture = np.asarray(Image.open(io.BytesIO(thumbnails.thumbnail(slide))), np.float64)
    assert np.abs(picture[3:-3, 3:-3] - (200, 0, 0)).mean() < 6


# ---- the classes of a segmentation ----------------------------------------------------------------------------------


def polygon(name: str, *rings: list[tuple[float, float]], colour: tuple[int, ...] = (9, 8, 7)) -> dict[str, Any]:
    closed = [[list(point) for point in (*ring, ring[0])] for ring in rings]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": closed},
        "properties": {"objectType": "annotation", "classification": {"name": name, "color": list(colour)}},
    }


def square(x0: float, y0: float, side: float) -> list[tuple[float, float]]:
    return [(x0, y0), (x0 + side, y0), (x0 + side, y0 + side), (x0, y0 + side)]


def test_the_classes_of_a_slide_are_drawn_where_they_are(folders: Folders, opening: Opening) -> None:
    """A square with a hole, in which a smaller one of another class lies, whichever comes first in the file."""
    outer = polygon("Tumour", square(400, 200, 800), square(600, 400, 400))
    inner = polygon("Stroma", square(700, 500, 200))
    other = polygon("No class of it", square(0, 0, 4000))
    for features in ([outer, inner, other], [inner, outer]):
        text = json.dumps({"type": "FeatureCollection", "features": features})
        write_segmentation_of(folders.results / "a", text)
        again = opening(folders)
        row = rows(again)["a"]
        assert (row["score"], row["segmented_by"], row["detections"]) == (0.75, "test", 72)
        facts = got(again, f"/slide/{row['number']}/classes.json")
        assert [one["name"] for one in facts["classes"]] == ["Tumour", "Stroma"]
        assert facts["colours"] == [[9, 8, 7], [9, 8, 7]]
        picture = again.get(f"/slide/{row['number']}/classes.png")
        labels = np.asarray(Image.open(io.BytesIO(picture.body)))
        scale = 4200 / labels.shape[1]
        y, x = (np.indices(labels.shape) + 0.5) * scale
        expected = np.zeros(labels.shape, np.uint8)
        expected[(abs(x - 800) < 400) & (abs(y - 600) < 400)] = 1
        expected[(abs(x - 800) < 200) & (abs(y - 600) < 200)] = 0
        expected[(abs(x - 800) < 100) & (abs(y - 600) < 100)] = 2
        edges = 4 * (800 + 400 + 200) / scale  # a pixel on an outline may fall either way
        assert (labels != expected).sum() <= edges
        assert (labels[250:330] == expected[250:330]).mean() > 0.99


def test_a_slide_of_which_only_tissue_was_segmented_opens(folders: Folders, opening: Opening) -> None:
    text = json.dumps({"type": "FeatureCollection", "features": [polygon("Tumour", square(0, 0, 900))]})
    write_segmentation_of(folders.results / "b", text)
    (folders.results / "b.run.json").unlink()
    space = opening(folders)
    row = rows(space)["b"]
    assert (row["detections"], row["can_open"], row["found"]) == (None, True, True)
    facts = got(space, f"/slide/{row['number']}/slide.json")
    assert (facts["detections"], facts["classes"], facts["segmented"]) == (0, [], True)
    assert say(space, row["number"], action="positive", box=[0, 0, 500, 500]) == 200
    assert say(space, row["number"], action="add", box=[0, 0, 50, 50], label=0) == 400
    (region,) = read_geojson(folders.results / "b.corrected.geojson").regions
    assert (region.box, region.normal) == ((0, 0, 500, 500), False)


def test_a_damaged_file_of_regions_hides_no_cells(folders: Folders, opening: Opening) -> None:
    write_segmentation_of(folders.results / "a", "{")
    space = opening(folders)
    number = rows(space)["a"]["number"]
    assert got(space, f"/slide/{number}/slide.json")["detections"] == 72
    assert space.get(f"/slide/{number}/classes.png").status == 500
    record = read_run_record(folders.results / "a.run.json")
    with pytest.raises(ResultError, match="no GeoJSON file of regions"):
        ClassOverlay(folders.results / "a", record)


def test_the_sample_is_one_of_its_slides(folders: Folders) -> None:
    """Of copies under other names, the one of the name is taken, and then the one below folders of the same names."""
    finder = SlideFinder([folders.slides])
    record = read_run_record(folders.results / "ward" / "c.run.json")
    assert finder.find("ward/c", record) == folders.slides / "ward" / "c.svs"
    assert finder.find("other", record).read_bytes() == SAMPLE.read_bytes()
