package qupath.lib.roi.interfaces

class ROI {
    double boundsX, boundsY, boundsWidth, boundsHeight
}
