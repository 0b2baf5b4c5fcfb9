"""`signetscan view`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from signetscan.cli.console import FILE, note, result

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("results", type=FILE)
@click.option(
    "--slide",
    type=FILE,
    help="The slide, or a folder that the slides are in.  [default: where they were scanned, or beside the results]",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port to listen on; 0 means any free one.")
@click.option("--no-browser", is_flag=True, help="Print the address, but do not open a browser.")
@click.option(
    "--out", "-o", type=FILE, help="File for marks of one slide.  [default: NAME.corrected.geojson next to the result]"
)
def view(results: Path, slide: Path | None, port: int, out: Path | None, *, no_browser: bool) -> None:
    """Review and correct results in the browser.

    RESULTS is a folder of results, of which a work list is shown, or any file of one slide's. Accept or reject
    detections, add missed cells, and draw regions. Each mark is saved at once, as GeoJSON for QuPath, and shown again
    the next time. Press ? on a page to see its keys, and Ctrl-C here to end.

    Only this machine can connect, and only with the printed address, which gives access to the slide. On a machine
    that others use too, give --no-browser, so that they cannot find the address in the list of processes.

    Example: signetscan view results --slide slides
    """
    import threading
    import webbrowser

    from signetscan.cli.signals import ended_by_signals
    from signetscan.viewer import open_viewer

    try:
        with ended_by_signals(), open_viewer(results, slide, marks=out, port=port) as server:
            result(server.url)
            for warning in server.viewer.warnings:
                note(f"Warning: {warning}.")
            note(f"Marks are saved to {server.viewer.saved_to}. Press Ctrl-C to end.")
            if not no_browser:
                # In a thread, because a browser that runs in the terminal returns only when the user quits it.
                threading.Thread(target=webbrowser.open, args=(server.url,), daemon=True).start()
            server.serve_forever()
    except KeyboardInterrupt:
        note("Ended.")
