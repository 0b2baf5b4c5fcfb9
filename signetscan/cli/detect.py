"""`signetscan detect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from signetscan.cli.console import POSITIVE, note, progress
from signetscan.model_store import DEFAULT_MODEL, find_model

if TYPE_CHECKING:
    from signetscan.detect import SlideResult
    from signetscan.inference import OnnxDetector
    from signetscan.slides import Slide


@click.command()
@click.argument("slide", type=click.Path(path_type=Path))
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    default=Path("signetscan-results"),
    help="Folder for the results; made if it is not there.",
)
@click.option("--model", default=DEFAULT_MODEL, help="Name of a shipped model (accurate, fast), or an ONNX file.")
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "tensorrt"]),
    default="auto",
    help="cuda and tensorrt must run on an NVIDIA GPU or fail; auto takes a GPU if it can.",
)
@click.option("--mpp", type=POSITIVE, help="Size of the slide's pixels, um/px, in place of what the file says.")
@click.option("--threshold", type=float, help="Lowest score reported, 0 to 1.  [default: the model's]")
@click.option(
    "--nms-iou", type=float, help="Of two boxes that overlap by more than this IoU one is kept.  [default: the model's]"
)
@click.option("--tile-size", type=int, help="Side of a tile, pixels at the model's mpp.  [default: the model's]")
@click.option("--overlap", type=int, help="Overlap of tiles, pixels at the model's mpp.  [default: the model's]")
@click.option("--batch-size", type=int, help="Tiles given to the model at once.  [default: 1 on a CPU, 8 on a GPU]")
@click.option("--readers", type=int, help="Threads that read tiles.  [default: one a core, at most 8]")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of the model.  [default: one a core]")
@click.option("--tissue-mask/--no-tissue-mask", default=True, help="Skip tiles without tissue, or scan everything.")
@click.option(
    "--min-tissue", type=float, default=1000.0, help="Smallest piece of tissue that is scanned, um2; less is dust."
)
@click.option(
    "--bounds-crop/--no-bounds-crop",
    default=True,
    help="GeoJSON counts from the slide's bounds, as QuPath shows it, or from level 0.",
)
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors and the result.")
def detect(slide: Path, out: Path, model: str, **options: Any) -> None:  # noqa: ANN401 - click's values
    """Find signet ring cells in SLIDE.

    Writes NAME.geojson (drag it onto the slide in QuPath), NAME.csv and NAME.run.json. A file appears only when it
    is whole.

    Example: signetscan detect biopsy.svs --out results
    """
    from signetscan.detect import detect_slide
    from signetscan.inference import load_detector
    from signetscan.outputs.atomic import make_folder
    from signetscan.outputs.results import write_results
    from signetscan.slides import open_slide

    quiet = options["quiet"]
    with open_slide(slide, mpp=options["mpp"]) as opened:
        detector = load_detector(find_model(model), device=options["device"], threads=options["threads"])
        note(_device_line(detector, options["device"]), quiet=quiet)
        _warn_if_coarse(opened, detector, quiet=quiet)
        _warn_if_narrow(options["overlap"], detector, quiet=quiet)
        wanted = _options(detector, options)
        make_folder(out)
        with progress(slide.name, unit="tiles", quiet=quiet) as on_progress:
            result = detect_slide(opened, detector, wanted, on_progress=on_progress)
        paths = write_results(out, opened, detector, result, crop_to_bounds=options["bounds_crop"])
    click.echo(_summary(slide, detector, result))
    for path in paths.values():
        click.echo(f"  {path}")


def _options(detector: OnnxDetector, options: dict[str, Any]) -> Any:  # noqa: ANN401
    from signetscan.detect import DetectOptions

    return DetectOptions.for_model(
        detector,
        tile_size=options["tile_size"],
        tile_overlap=options["overlap"],
        score_threshold=options["threshold"],
        nms_iou=options["nms_iou"],
        batch_size=options["batch_size"],
        readers=options["readers"],
        use_tissue_mask=options["tissue_mask"],
        min_tissue_um2=options["min_tissue"],
    )


def _device_line(detector: OnnxDetector, asked: str) -> str:
    from signetscan.runtime import CPU_PROVIDER, runtime_versions

    line = f"Model {detector.spec.name} runs on {detector.provider}."
    if detector.spec.precision == "int8" and detector.provider != CPU_PROVIDER:
        line += " A model in 8-bit integers is made for CPUs, and slow there."
    if asked == "auto" and detector.provider == CPU_PROVIDER and "onnxruntime-gpu" in runtime_versions():
        line += " onnxruntime-gpu is installed, but CUDA could not be loaded: try --device cuda to see why."
    return line


def _warn_if_coarse(slide: Slide, detector: OnnxDetector, *, quiet: bool) -> None:
    from signetscan.slides.at_mpp import MAX_ENLARGEMENT

    if slide.mpp is not None and 1.5 < slide.mpp.x / detector.spec.mpp <= MAX_ENLARGEMENT:
        note(
            f"Warning: the slide has {slide.mpp.x:g} um/px ({slide.mpp.source}) and is enlarged to the model's "
            f"{detector.spec.mpp:g} um/px; expect missed cells.",
            quiet=quiet,
        )


def _warn_if_narrow(overlap: int | None, detector: OnnxDetector, *, quiet: bool) -> None:
    if overlap is not None and overlap < detector.spec.tile_overlap:
        note(
            f"Warning: an overlap of {overlap} px is below the model's {detector.spec.tile_overlap} px; cells at the "
            "borders of tiles may be scored differently, missed or doubled.",
            quiet=quiet,
        )


def _summary(slide: Path, detector: OnnxDetector, result: SlideResult) -> str:
    import numpy as np

    counts = np.bincount(result.detections.labels, minlength=len(detector.spec.class_names))
    found = ", ".join(f"{count} {name}" for name, count in zip(detector.spec.class_names, counts, strict=True))
    tissue = "" if result.tissue_mm2 is None else f" ({result.tissue_mm2:.1f} mm2 of tissue)"
    return f"{slide.name}: {found} in {result.tiles_scanned} of {result.tiles} tiles{tissue}"
