package qupath.lib.roi

import qupath.lib.regions.ImagePlane
import qupath.lib.roi.interfaces.ROI

class ROIs {
    static ROI createRectangleROI(double x, double y, double width, double height, ImagePlane plane) {
        assert width > 0 && height > 0 && plane != null
        new ROI(boundsX: x, boundsY: y, boundsWidth: width, boundsHeight: height)
    }
}
