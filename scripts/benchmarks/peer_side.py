"""The part of `bench_peers.py` that runs in the peers' environment, which has torch, torchvision and no signetscan.

    python peer_side.py networks FOLDER
    python peer_side.py wsinfer WORD...
    python peer_side.py tiatoolbox SLIDE MODULE OUT BATCH WORKERS
    python peer_side.py script SLIDE GRAPH OUT BATCH THREADS WIDTH < PLACES

`networks` writes each network as TorchScript and as ONNX, and a config.json in the form of the WSInfer zoo.
`wsinfer` is its command, with an empty list of models in place of the one that it fetches when it starts.
`tiatoolbox` and `script` classify patches; PLACES has a line for each: x, y, level-0 pixels, and WIDTH is their side
there.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from threading import local

SIDE, MPP = 224, 0.5
MEAN, SD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
CLASSES = ["normal", "tumour"]


def networks(folder: Path) -> None:
    """Write the networks and their configuration."""
    import torch
    from torchvision.models import resnet18

    class Free(torch.nn.Module):
        """Two values by the mean colour, so that a network costs nothing."""

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            red, blue = images[:, 0].mean((1, 2)), images[:, 2].mean((1, 2))
            return torch.stack([red, blue], 1)

    torch.manual_seed(0)
    example = torch.rand(2, 3, SIDE, SIDE)
    free = {"images": {0: "batch"}, "classes": {0: "batch"}}
    for name, network in (("free", Free()), ("resnet18", resnet18(num_classes=len(CLASSES)))):
        scripted = torch.jit.trace(network.eval(), example)  # type: ignore[no-untyped-call]
        scripted.save(str(folder / f"{name}.pt"))
        graph = folder / f"{name}.onnx"
        torch.onnx.export(
            network,
            (example,),
            str(graph),
            input_names=["images"],
            output_names=["classes"],
            dynamic_axes=free,
            dynamo=False,
        )
    transform = [
        {"name": "Resize", "arguments": {"size": SIDE}},
        {"name": "ToTensor"},
        {"name": "Normalize", "arguments": {"mean": MEAN, "std": SD}},
    ]
    config = {
        "spec_version": "1.0",
        "architecture": "resnet18",
        "num_classes": len(CLASSES),
        "class_names": CLASSES,
        "patch_size_pixels": SIDE,
        "spacing_um_px": MPP,
        "transform": transform,
    }
    (folder / "config.json").write_text(json.dumps(config))


def wsinfer(words: list[str]) -> None:
    """Run WSInfer's command."""
    import wsinfer_zoo.client

    wsinfer_zoo.client.load_registry = lambda: wsinfer_zoo.client.ModelRegistry(models={})
    from wsinfer.cli.cli import cli

    cli(words)


def tiatoolbox(slide: str, module: str, out: Path, batch: int, workers: int) -> None:
    """Classify the patches of what TIAToolbox takes for tissue, and print how many there were."""
    import numpy as np
    import torch
    from tiatoolbox.models.architecture.utils import argmax_last_axis
    from tiatoolbox.models.engine.io_config import IOPatchPredictorConfig
    from tiatoolbox.models.engine.patch_predictor import PatchPredictor
    from tiatoolbox.models.models_abc import ModelABC

    mean, deviation = np.array(MEAN, np.float32), np.array(SD, np.float32)

    class Network(ModelABC):  # type: ignore[misc]
        """The network with the pixels that it takes."""

        def __init__(self) -> None:
            super().__init__()
            self.network = torch.jit.load(module)  # type: ignore[no-untyped-call]

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.softmax(self.network(images), 1)

        @staticmethod
        def preproc(image: np.ndarray) -> np.ndarray:
            return np.asarray((image.astype(np.float32) / 255 - mean) / deviation)

        @staticmethod
        def postproc(image: np.ndarray) -> np.ndarray:
            return np.asarray(argmax_last_axis(image=image))

        @staticmethod
        def infer_batch(model: torch.nn.Module, batch_data: torch.Tensor, *, device: str) -> np.ndarray:
            images = batch_data.to(device).type(torch.float32).permute(0, 3, 1, 2).contiguous()
            with torch.inference_mode():
                return np.asarray(model(images).cpu())

    places = IOPatchPredictorConfig(
        input_resolutions=[{"units": "mpp", "resolution": MPP}],
        patch_input_shape=[SIDE, SIDE],
        stride_shape=[SIDE, SIDE],
    )
    predictor = PatchPredictor(model=Network(), batch_size=batch, num_workers=workers, verbose=False)
    written = predictor.run(
        images=[Path(slide)],
        patch_mode=False,
        ioconfig=places,
        save_dir=out / "results",
        output_type="zarr",
        device="cpu",
        return_probabilities=True,
    )
    import zarr

    print(zarr.open(str(next(iter(written.values()))), mode="r")["coordinates"].shape[0])


def script(slide: str, graph: str, out: Path, batch: int, threads: int, width: int) -> None:
    """Classify patches as one would without any of these tools: with care, but without tricks."""
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np
    import onnxruntime
    import openslide

    places = [tuple(map(int, line.split())) for line in sys.stdin]
    handles = local()
    mean, deviation = np.array(MEAN, np.float32), np.array(SD, np.float32)

    def read(place: tuple[int, ...]) -> np.ndarray:
        if not hasattr(handles, "slide"):
            handles.slide = openslide.OpenSlide(slide)
        picture = handles.slide.read_region(place, 0, (width, width)).convert("RGB")
        if width != SIDE:
            picture = picture.resize((SIDE, SIDE))
        return ((np.asarray(picture, np.float32) / 255 - mean) / deviation).transpose(2, 0, 1)

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    with out.open("w") as file, ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(places), batch):
            some = places[start : start + batch]
            values = session.run(None, {"images": np.stack(list(pool.map(read, some)))})[0]
            file.writelines(f"{x},{y},{a:.4f},{b:.4f}\n" for (x, y), (a, b) in zip(some, values, strict=True))


def main() -> None:
    """Do the part that is asked for."""
    part, *words = sys.argv[1:]
    if part == "networks":
        networks(Path(words[0]))
    elif part == "wsinfer":
        wsinfer(words)
    elif part == "tiatoolbox":
        tiatoolbox(words[0], words[1], Path(words[2]), int(words[3]), int(words[4]))
    else:
        script(words[0], words[1], Path(words[2]), int(words[3]), int(words[4]), int(words[5]))


if __name__ == "__main__":
    main()
