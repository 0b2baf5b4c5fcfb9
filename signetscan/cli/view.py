"""`signetscan view`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from signetscan.cli.console import FILE, note, result

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("results", type=FILE, metavar="RESULT")
@click.option(
    "--slide",
    "where",
    type=FILE,
    required=True,
    help="The slide that the result is of, or a folder that holds it: results do not name the files of slides.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port to listen at; 0 takes a free one.")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option("--out", "-o", type=FILE, help="File of the marks.  [default: NAME.corrected.geojson beside the result]")
def view(results: Path, where: Path, port: int, out: Path | None, *, no_browser: bool) -> None:
    """Review and correct the detections of a slide in the browser.

    RESULT is any file that detect wrote of one slide. Detections are accepted or rejected, missed cells added; each
    mark is saved at once, as GeoJSON for QuPath, and is there again the next time. Press ? in the page for its keys.
    Ctrl-C ends it.

    Only this machine can connect, and only with the address that is printed: whoever has it can see the slide. On a
    machine that others use too give --no-browser, or they may find the address in the list of processes.

    Example: signetscan view results/biopsy.run.json --slide biopsy.svs
    """
    import threading
    import webbrowser

    from signetscan.atomic import make_folder
    from signetscan.cli.results import stored_results
    from signetscan.cli.scanning import end_on_sigterm
    from signetscan.errors import OptionError
    from signetscan.formats.result_files import RECORD_ENDING, with_ending
    from signetscan.results.reading import find_results
    from signetscan.slides import open_slide
    from signetscan.viewer import Viewer, ViewerServer

    records = find_results(results)
    if len(records) > 1:
        message = f"{results}: results of {len(records)} slides; name a file of one, such as {records[0]}"
        raise OptionError(message)
    (stored,) = stored_results((results,), where)
    marks = out or with_ending(stored.target, "corrected.geojson")
    if marks.suffix.lower() != ".geojson" or with_ending(marks.with_suffix(""), RECORD_ENDING).exists():
        message = f"{marks}: choose another file for the marks, one that ends in .geojson and is no result of detect"
        raise OptionError(message)
    make_folder(marks.absolute().parent)
    path = stored.scanned.path or where
    end_on_sigterm()
    with (
        open_slide(path, mpp=stored.scanned.mpp.x) as slide,
        ViewerServer(Viewer(stored.scanned, slide, marks), port) as server,
    ):
        try:
            result(server.url)
            note(f"Marks are saved to {marks}. Press Ctrl-C to end.")
            if not no_browser:
                # In a thread, because a browser in the terminal returns only when it is left.
                threading.Thread(target=webbrowser.open, args=(server.url,), daemon=True).start()
            server.serve_forever()
        except KeyboardInterrupt:
            note("Ended.")
        finally:
            server.viewer.close()
