"""The runtime (ONNX Runtime): the devices that it can use, and sessions on them. No other module imports it."""

from __future__ import annotations

import io
import logging
import os
import threading
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from signetscan.errors import DeviceError, ModelError
from signetscan.extras import missing
from signetscan.models.placement import Placement
from signetscan.models.spec import INPUT_NAME
from signetscan.plurals import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

Device = Literal["auto", "cpu", "cuda", "tensorrt"]
"""Where a model runs. `cuda` requires an NVIDIA GPU; `tensorrt` requires TensorRT on one, and takes minutes to prepare
a model the first time; `auto` uses CUDA if possible, else the CPU."""

CPU_PROVIDER = "CPUExecutionProvider"
CUDA_PROVIDER = "CUDAExecutionProvider"
TENSORRT_PROVIDER = "TensorrtExecutionProvider"

PROVIDERS = {"cpu": CPU_PROVIDER, "cuda": CUDA_PROVIDER, "tensorrt": TENSORRT_PROVIDER}
"""The execution provider that each device requires."""

CUDA_OPTIONS = {
    # The other settings spend seconds trying algorithms for each new shape of tiles.
    "cudnn_conv_algo_search": "HEURISTIC",
    # Allocate what is needed, not powers of two, because several processes may share a GPU.
    "arena_extend_strategy": "kSameAsRequested",
}

ERRORS, FATAL_ONLY = 3, 4
"""How severe a message must be for the runtime to print it."""

NO_MEMORY = ("Failed to allocate memory", "out of memory", "bad allocation", "CUDNN_STATUS_ALLOC_FAILED")
"""Texts in the errors of the runtime, CUDA and cuDNN that mean that memory has run out."""

BOTH_RUNTIMES = (
    "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files: "
    'pip uninstall onnxruntime onnxruntime-gpu, then pip install "signetscan[gpu]" (or "[cpu]")'
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Session:
    """A loaded model. Made by `open_session`."""

    session: Any
    """The `onnxruntime.InferenceSession`."""
    runs_on: Placement
    """The execution provider that runs the model."""
    memory: str | None = None
    """Kind of memory to which tiles are copied for the model ("cuda"); None if it reads them where they are."""
    _buffers: threading.local = field(default_factory=threading.local)
    """A buffer for tiles on the device for each thread, so that one batch is copied while the model runs on another."""

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata in the model file."""
        entries: dict[str, str] = self.session.get_modelmeta().custom_metadata_map
        return entries

    @property
    def inputs(self) -> list[Any]:
        """The graph's inputs: each has `name`, `type` and `shape`."""
        return list(self.session.get_inputs())

    @property
    def outputs(self) -> list[Any]:
        """The graph's outputs, with the same attributes as `inputs`."""
        return list(self.session.get_outputs())

    def run(self, tiles: NDArray[np.uint8], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """Run the model on a batch, and give its outputs; may be called from several threads.

        Args:
            tiles: uint8 (B, H, W, 3).
            outputs: names of the outputs to give.

        Raises:
            MemoryError: the device has no room for the batch.
        """
        try:
            return self._run(tiles, outputs)
        except Exception as error:  # the runtime's own exceptions share no base below Exception
            if _is_of_runtime(error) and any(text in str(error) for text in NO_MEMORY):
                batch = counted(len(tiles), "tile")
                message = f"not enough memory for a batch of {batch} of {tiles.shape[2]} x {tiles.shape[1]} px"
                raise MemoryError(message) from error
            raise

    def run_on(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run a graph that need not keep the contract, on the CPU; gives its outputs by name."""
        names = [value.name for value in self.outputs]
        return dict(zip(names, self.session.run(names, dict(inputs)), strict=True))

    def _run(self, tiles: NDArray[np.uint8], outputs: Sequence[str]) -> list[NDArray[Any]]:
        if self.memory is None:
            return list(self.session.run(list(outputs), {INPUT_NAME: tiles}))
        binding = self.session.io_binding()
        binding.bind_ortvalue_input(INPUT_NAME, self._on_device(tiles))
        for name in outputs:
            binding.bind_output(name)  # outputs are far smaller than tiles, so they are copied to the CPU
        self.session.run_with_iobinding(binding)
        return list(binding.copy_outputs_to_cpu())

    def _on_device(self, tiles: NDArray[np.uint8]) -> Any:  # noqa: ANN401
        """Copy tiles to the device, into the buffer of this thread's last batch if it had the same shape."""
        buffer = getattr(self._buffers, "value", None)
        if buffer is None or buffer.shape() != list(tiles.shape):
            buffer = _runtime().OrtValue.ortvalue_from_numpy(tiles, self.memory, 0)
            self._buffers.value = buffer
        else:
            buffer.update_inplace(tiles)
        return buffer


def open_session(content: bytes, path: Path, *, device: Device = "auto", threads: int | None = None) -> Session:
    """Load a model.

    Args:
        content: the model file's bytes, all of its weights among them; see `signetscan.models.onnx_parts`.
        path: the model file, for messages.
        device: where to run it.
        threads: CPU threads per operation; one per core by default.

    Raises:
        ModelError: the file is not a model that the runtime can load.
        DeviceError: the device asked for cannot be used, or no runtime is installed.
    """
    runtime = _runtime()
    options = runtime.SessionOptions()
    # The runtime would print its errors itself, in colours and with the names that strangers gave to nodes; they are
    # raised too. Why CUDA cannot be loaded is said by nothing else.
    options.log_severity_level = FATAL_ONLY
    runtime.set_default_logger_severity(FATAL_ONLY if device in {"cpu", "auto"} else ERRORS)
    # Memory planned ahead is one block for all feature maps and half as large again; measured, it is no faster.
    options.enable_mem_pattern = False
    # Read threads and the model share the cores. So a thread that waits must not keep a core busy, and work is cut into
    # more pieces than threads, so that the others can take over from a thread that is held up.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.dynamic_block_base", "4")
    if threads:
        options.intra_op_num_threads = threads
    try:
        with _what_is_printed_is_logged():
            providers = _providers(runtime, device)
            # Where there is nothing to fall back to, the runtime would print that it does, and the error.
            fallback = int(len(providers) > 1)
            session = runtime.InferenceSession(content, options, providers=providers, enable_fallback=fallback)
    except Exception as error:  # the runtime's own exceptions share no base below Exception
        if _is_of_runtime(error):
            message = f"{path}: not a model that ONNX Runtime {runtime.__version__} can load: {_first_line(error)}"
            raise ModelError(message) from error
        raise
    provider = session.get_providers()[0]
    if device != "auto" and provider != PROVIDERS[device]:
        raise DeviceError(_why_not(runtime, device), options=("device",))
    on_gpu = provider != CPU_PROVIDER
    runs_on = Placement(name=provider, on_gpu=on_gpu)
    return Session(session=session, runs_on=runs_on, memory="cuda" if on_gpu else None)


@contextmanager
def model_errors() -> Iterator[None]:
    """Turn the runtime's errors, while a model runs that nobody has run before, into errors of the model."""
    try:
        yield
    except MemoryError as error:
        raise ModelError(str(error)) from error
    except Exception as error:  # the runtime's own exceptions share no base below Exception
        if _is_of_runtime(error):
            message = f"ONNX Runtime cannot run it: {_first_line(error)}"
            raise ModelError(message) from error
        raise


def disable_telemetry() -> None:
    """Turn off the telemetry of ONNX Runtime, which is on by default since 1.32; call this before it is imported.

    Otherwise it keeps a device id and a queue of events in the user's cache folder, and looks up its maker's host.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def _runtime() -> Any:  # noqa: ANN401 - the module has no types
    disable_telemetry()
    try:
        import onnxruntime
    except ImportError as error:
        raise DeviceError(str(missing("onnxruntime"))) from error
    return onnxruntime


def _providers(runtime: Any, device: Device) -> list[str | tuple[str, dict[str, str]]]:  # noqa: ANN401
    """The execution providers that may run the model; the first that loads runs it.

    Raises:
        DeviceError: the installed runtime has no such provider.
    """
    available = runtime.get_available_providers()
    if device not in {"auto", "cpu"} and PROVIDERS[device] not in available:
        raise DeviceError(_why_not(runtime, device), options=("device",))
    providers: list[str | tuple[str, dict[str, str]]] = [CPU_PROVIDER]
    if device != "cpu" and CUDA_PROVIDER in available:
        runtime.preload_dlls()
        providers.insert(0, (CUDA_PROVIDER, CUDA_OPTIONS))
    if device == "tensorrt":
        providers.insert(0, (TENSORRT_PROVIDER, _tensorrt_options()))
    return providers


@contextmanager
def _what_is_printed_is_logged() -> Iterator[None]:
    """Keep what the runtime prints about libraries that are not there off standard output, which is for results."""
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            yield
    finally:
        for line in printed.getvalue().splitlines():
            logger.info("%s", line)


def _tensorrt_options() -> dict[str, str]:
    """What is prepared is kept in the user's cache; it fits one model, shape of batches and kind of GPU each."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = root / "signetscan" / "tensorrt"
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(folder),
    }


def available_providers() -> list[str]:
    """The execution providers that the installed runtime contains; they may still fail to load.

    Raises:
        DeviceError: no runtime is installed.
    """
    return list(_runtime().get_available_providers())


def runtime_versions() -> dict[str, str]:
    """The installed ONNX Runtime distributions and their versions."""
    versions = {}
    for name in ("onnxruntime", "onnxruntime-gpu"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _why_not(runtime: Any, device: Device) -> str:  # noqa: ANN401
    """Why a GPU cannot be used, and what to do."""
    installed = runtime_versions()
    if len(installed) == 2:
        return f"device {device}: {BOTH_RUNTIMES}"
    if "onnxruntime-gpu" not in installed:
        return (
            f"device {device}: the installed onnxruntime {runtime.__version__} is the CPU build: "
            'pip uninstall onnxruntime, then pip install "signetscan[gpu]"'
        )
    if device == "tensorrt":
        return (
            f"device tensorrt: onnxruntime-gpu {installed['onnxruntime-gpu']} could not load TensorRT: its libraries "
            "(libnvinfer) must be of the version that this one was built for, and where the system finds libraries, "
            "such as in LD_LIBRARY_PATH; or run on the device cuda"
        )
    return (
        f"device cuda: onnxruntime-gpu {installed['onnxruntime-gpu']} could not load CUDA and fell back to the CPU. "
        "Check that `nvidia-smi` shows a GPU, and that the driver and cuDNN fit this version (1.27 and later: CUDA 13, "
        "cuDNN 9, driver 580; 1.26 and earlier: CUDA 12), or run on the device cpu"
    )


def _is_of_runtime(error: Exception) -> bool:
    """Whether the runtime raised an error; one of another class if a name in the message is no text."""
    return type(error).__module__.startswith("onnxruntime") or isinstance(error, UnicodeDecodeError)


def _first_line(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "a name in it is not text"
    return str(error).strip().splitlines()[0][:300]
