from .array_slide import ArraySlide as ArraySlide
from .at_mpp import SlideAtMpp as SlideAtMpp
from .mpp import Mpp as Mpp
from .opening import open_slide as open_slide
from .protocol import Bounds as Bounds
from .protocol import Slide as Slide
from .protocol import qupath_origin as qupath_origin
