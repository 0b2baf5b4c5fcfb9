# The face of the package: what `import signetscan` offers. Type checkers read this file, and `__init__.py` reads it
# when the package is imported, so a name is added here and nowhere else. docs/api.md is made from it.

from .batch.calibrate import CalibrationRun as CalibrationRun
from .batch.calibrate import calibrate as calibrate
from .batch.options import BatchOptions as BatchOptions
from .batch.options import CalibrateOptions as CalibrateOptions
from .batch.run import scan_slides as scan_slides
from .dataset.reading import read_dataset as read_dataset
from .detections import Detections as Detections
from .errors import SignetscanError as SignetscanError
from .evaluation.assessment import assess as assess
from .evaluation.files import read_results as read_results
from .evaluation.options import AssessOptions as AssessOptions
from .evaluation.options import MaskOptions as MaskOptions
from .evaluation.options import TruthOptions as TruthOptions
from .evaluation.region_run import evaluate_regions as evaluate_regions
from .evaluation.run import evaluate_files as evaluate_files
from .foreign.importing import ImportedDetector as ImportedDetector
from .foreign.importing import ImportedSegmenter as ImportedSegmenter
from .foreign.importing import import_model as import_model
from .foreign.options import ImportOptions as ImportOptions
from .models.detector import load_detector as load_detector
from .models.known_models import KnownModel as KnownModel
from .models.known_models import add_model as add_model
from .models.known_models import known_models as known_models
from .models.segmenter import load_segmenter as load_segmenter
from .models.store import find_model as find_model
from .results.calibration import Calibration as Calibration
from .results.calibration import read_calibration as read_calibration
from .results.cells_in_regions import CellsInRegions as CellsInRegions
from .results.cells_in_regions import cells_in_regions as cells_in_regions
from .results.folder import find_results as find_results
from .results.reading import load_result as load_result
from .results.segmentation import write_segmentation as write_segmentation
from .results.writing import write_results as write_results
from .scan.detect import SlideResult as SlideResult
from .scan.detect import detect_slide as detect_slide
from .scan.options import ScanOptions as ScanOptions
from .scan.options import SegmentOptions as SegmentOptions
from .scan.segment import SegmentationResult as SegmentationResult
from .scan.segment import segment_slide as segment_slide
from .slides.opening import open_slide as open_slide
from .training.export import export_checkpoint as export_checkpoint
from .training.export_options import ExportOptions as ExportOptions
from .training.options import TrainingRequest as TrainingRequest
from .training.options import TrainOptions as TrainOptions
from .training.options import preset_options as preset_options
from .training.run import train_detector as train_detector
from .training.segmentation.options import SegmentationOptions as SegmentationOptions
from .training.segmentation.options import segmentation_options as segmentation_options
from .training.segmentation.run import train_segmenter as train_segmenter

__version__: str
__all__: list[str]
