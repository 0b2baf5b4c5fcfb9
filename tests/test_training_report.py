"""The report of a training run: that what it says is so, that it needs nothing else, and that it runs nothing."""

from __future__ import annotations

import base64
import io
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image
from toy_images import TINY

from signetscan.dataset import hold_out
from signetscan.errors import TrainingError
from signetscan.training import gallery
from signetscan.training.checkpoint import load_checkpoint, save_checkpoint
from signetscan.training.engine import data_digest, train
from signetscan.training.report import COLUMNS, write_report
from signetscan.training.report_tables import ROWS, epochs_table

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.dataset import Dataset

HOSTILE = '<script>alert("1")</script>'


class Page(HTMLParser):
    """A page as a browser would take it in: its elements, the addresses it names, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html, self.text = html, ""
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.rows and self.rows[-1] and data.strip():
            self.rows[-1][-1] += data

    def pictures(self, kind: str) -> list[Image.Image]:
        """All embedded pictures of a kind, decoded."""
        sources = [attributes["src"] or "" for tag, attributes in self.elements if tag == "img"]
        assert all(source.startswith("data:image/") for source in sources)
        start = f"data:image/{kind};base64,"
        return [
            Image.open(io.BytesIO(base64.b64decode(source.removeprefix(start))))
            for source in sources
            if source.startswith(start)
        ]

    def section(self, title: str) -> str:
        """The page from a heading to the next section."""
        return self.html[self.html.index(f"</span>{title}</h3>") :].split("</section>")[0]


@pytest.fixture(scope="module")
def run(trained: Path, toy_set: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with its report."""
    folder = tmp_path_factory.mktemp("reports") / "my run"
    shutil.copytree(trained, folder)
    assert write_report(folder, toy_set, device="cpu") == folder / "report.html"
    return folder


@pytest.fixture(scope="module")
def page(run: Path) -> Page:
    return Page((run / "report.html").read_text(encoding="utf-8"))


def test_it_says_what_the_run_was(page: Page, run: Path, toy_set: Dataset) -> None:
    best, last = (load_checkpoint(run / name) for name in ("best.pt", "last.pt"))
    learn, held_out = hold_out(toy_set.images, 0.25, None, 0)
    for images in (learn, held_out):
        boxes = sum(len(image.boxes) for image in images)
        slides = len({image.slide for image in images})
        normals = sum(image.normal for image in images)
        said = f"{len(images) - normals} images with {boxes} boxes, and {normals} images without cells, of {slides}"
        assert said in page.text
    for said in (
        "Training report: my run",
        "Signet ring cell",
        "DigestPath 2019",
        "0.25 µm/px",
        f"{best.threshold:.4f}",
    ):
        assert said in page.text
    row = next(row for row in page.rows if row[0] == str(best.epoch))
    assert row[4:6] == [f"{best.history[-1][name]:.3f}" for name in ("ap50", "froc")]
    assert row[7:10] == [f"{best.history[-1][name]:.3f}" for name in ("recall", "precision", "f1")]
    assert row[10] == f"{best.history[-1]['false_positives_per_normal']:.2f}"
    assert best.held_out is not None
    interval = f"{best.held_out.recall.low:.3f} to {best.held_out.recall.high:.3f}"
    assert interval in page.text, "the file of the model says the same"
    assert [row[0] for row in page.rows if row[0].isdecimal()] == [str(1 + index) for index in range(len(last.history))]
    froc = next(row for row in page.rows if row[0].startswith("FROC"))
    assert froc[1] == f"{best.history[-1]['froc']:.3f}", "judged anew, it is what training saw"
    assert re.search(r"max scale</span><span>1<", page.html), "as in the paper"
    assert re.search(r"crop</span><span><strong>128</strong> \(600\)", page.html), "other than in the paper"


def test_its_gallery_counts_what_training_counted(page: Page, run: Path, toy_set: Dataset) -> None:
    row = load_checkpoint(run / "best.pt").history[-1]
    _, held_out = hold_out(toy_set.images, 0.25, None, 0)
    cells = sum(len(image.boxes) for image in held_out)
    hits = round(row["recall"] * cells)
    alarms = round((100 - row["fps_score"]) * sum(image.normal for image in held_out))
    unmatched = round(hits / row["precision"]) - hits
    for title, count in (
        ("Hits with the highest scores", hits),
        ("Misses", cells - hits),
        ("False positives in normal images", alarms),
        ("Unmatched, in images whose labels may be incomplete", unmatched),
    ):
        section = page.section(title)
        assert (f"of {count}." if count else "There are none.") in section, title
        assert section.count("<img") <= 24
    scores = [float(text) for text in re.findall(r"<b>([\d.]+)</b>", page.section("Hits with the highest scores"))]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == min(hits, 12)


def test_it_stands_alone_and_runs_nothing(page: Page) -> None:
    tags = {tag for tag, _ in page.elements}
    assert tags.isdisjoint({"script", "link", "iframe", "object", "embed", "form", "a", "base"})
    for _, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes)
    without_pictures = re.sub(r"base64,[\w+/=]+", "", page.html)  # in which any four letters may stand
    assert "http" not in without_pictures.replace("http-equiv", "")
    assert re.search(r"url\(|@import", page.html) is None
    policy = next(attributes["content"] for _, attributes in page.elements if "http-equiv" in attributes)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert len(page.pictures("png")) == 4 + 4, "curves by epoch, and curves of the best epoch"
    assert {picture.size for picture in page.pictures("jpeg")} == {(224, 224)}


@pytest.mark.slow
def test_hostile_names_are_text(trained: Path, toy_set: Dataset, tmp_path: Path) -> None:
    """Of a class, an image, a warning and the run; on a file system that allows it, `<` may be in any of them."""
    moved = tmp_path / "images"
    moved.mkdir()
    images = []
    for number, image in enumerate(toy_set.images):
        path = moved / f"{number}<img src=x onerror=alert(1)>.jpeg"
        shutil.copy(image.path, path)
        images.append(replace(image, path=path))
    dataset = replace(toy_set, images=tuple(images), class_names=(HOSTILE,), warnings=(f"Odd: {HOSTILE}",))
    folder = tmp_path / "<b>run<b>"
    folder.mkdir()
    for name in ("best.pt", "last.pt"):
        checkpoint = load_checkpoint(trained / name)
        digest = data_digest(dataset.images)
        save_checkpoint(folder / name, replace(checkpoint, class_names=(HOSTILE,), data_digest=digest))
    page = Page(write_report(folder, dataset, device="cpu").read_text(encoding="utf-8"))
    assert "<script" not in page.html
    assert "<b>run" not in page.html
    assert "onerror" not in {name for _, attributes in page.elements for name in attributes}
    assert "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt;" in page.html
    assert f"Odd: {HOSTILE}" in page.text, "shown as it is"
    assert "<img src=x onerror=alert(1)>.jpeg" in page.text


def test_templates_never_switch_escaping_off() -> None:
    templates = sorted((ROOT / "signetscan" / "reports" / "templates").iterdir())
    assert len(templates) >= 2
    for template in templates:
        assert re.search(r"\|\s*safe|autoescape|Markup", template.read_text(encoding="utf-8")) is None


def test_galleries_are_bounded(run: Path, toy_set: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "SHOWN", 3)
    folder = shutil.copytree(run, tmp_path / "run")
    page = Page(write_report(folder, toy_set, device="cpu").read_text(encoding="utf-8"))
    assert page.section("Hits with the highest scores").count("<img") == 2
    assert page.section("Hits with the lowest scores").count("<img") == 1
    assert len(page.pictures("jpeg")) <= 4 * 3


@pytest.mark.slow
def test_several_classes_are_judged_one_by_one(toy_set: Dataset, tmp_path: Path) -> None:
    images = tuple(replace(image, labels=np.arange(len(image.boxes)) % 2) for image in toy_set.images)
    two = replace(toy_set, images=images, class_names=("ring", "disc"))
    train(two, replace(TINY, batches=2, epochs=2), tmp_path, device="cpu")
    page = Page(write_report(tmp_path, two, device="cpu").read_text(encoding="utf-8"))
    assert "ring, disc; 2 epochs" in page.text
    assert sum(row[0].startswith("FROC") for row in page.rows) == 2
    assert len(page.pictures("png")) == 4 + 2 * 4


def test_without_held_out_images_it_says_so(toy_set: Dataset, tmp_path: Path) -> None:
    train(toy_set, replace(TINY, batches=1, epochs=2, validation_split=0.0), tmp_path, device="cpu")
    page = Page(write_report(tmp_path, toy_set, device="cpu").read_text(encoding="utf-8"))
    assert "No image was held out" in page.text
    assert page.pictures("jpeg") == []
    assert len(page.pictures("png")) == 3, "losses and learning rate"
    assert "pseudo-label" not in page.text


def test_boxes_that_a_model_added_are_counted(toy_set: Dataset, tmp_path: Path) -> None:
    labelled = replace(toy_set, pseudo_labels=7)
    train(labelled, replace(TINY, batches=1, epochs=1), tmp_path, device="cpu")
    page = Page(write_report(tmp_path, labelled, device="cpu").read_text(encoding="utf-8"))
    assert page.text.count("boxes (7 pseudo-labels)") == 1, "of those learnt from, never of those held out"


@pytest.mark.slow
def test_without_normal_images_it_gives_no_froc(toy_set: Dataset, tmp_path: Path) -> None:
    cells = replace(toy_set, images=tuple(image for image in toy_set.images if not image.normal))
    train(cells, replace(TINY, batches=1, epochs=1), tmp_path, device="cpu")
    page = Page(write_report(tmp_path, cells, device="cpu").read_text(encoding="utf-8"))
    assert "No normal image was held out" in page.text
    assert "The best epoch, by AP50, is marked" in page.text
    assert next(row for row in page.rows if row[0].startswith("FROC"))[1] == "\N{EN DASH}"
    assert "<dt>FROC</dt>" not in page.html


@pytest.mark.slow
def test_it_can_be_made_of_a_run_that_was_stopped(run: Path, toy_set: Dataset, tmp_path: Path) -> None:
    folder = shutil.copytree(run, tmp_path / "run")
    last = load_checkpoint(folder / "best.pt")
    save_checkpoint(folder / "last.pt", replace(last, options=replace(last.options, epochs=99)))
    page = Page(write_report(folder, toy_set, device="cpu").read_text(encoding="utf-8"))
    assert "of 99: the run has not finished" in page.text


def test_a_long_table_keeps_the_best_and_the_last() -> None:
    history = [{"epoch": float(number), "loss_class": 0.5} for number in range(1, 1001)]
    table = epochs_table(history, COLUMNS, 17)
    rows = table["rows"]
    assert isinstance(rows, list)
    numbers = [int(row[0]) for _, row in rows]
    assert len(numbers) <= ROWS + 1
    assert numbers == sorted(numbers)
    assert {17, 1000} <= set(numbers)
    assert [row[0] for chosen, row in rows if chosen] == ["17"]
    assert table["left_out"] == 1000 - len(numbers)


def test_other_data_is_refused(run: Path, toy_set: Dataset, tmp_path: Path) -> None:
    before = (run / "report.html").read_bytes()
    for other in (replace(toy_set, images=toy_set.images[1:]), replace(toy_set, class_names=("disc",))):
        with pytest.raises(TrainingError, match=r"my run.*other images, annotations or classes"):
            write_report(run, other, device="cpu")
    with pytest.raises(TrainingError, match=r"best\.pt"):
        write_report(tmp_path, toy_set, device="cpu")
    assert (run / "report.html").read_bytes() == before
