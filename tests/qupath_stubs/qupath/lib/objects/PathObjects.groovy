package qupath.lib.objects

import qupath.lib.measurements.MeasurementList
import qupath.lib.objects.classes.PathClass
import qupath.lib.roi.interfaces.ROI

class PathObjects {
    static PathObject createDetectionObject(ROI roi, PathClass pathClass, MeasurementList measurements) {
        new PathObject(type: "detection", roi: roi, pathClass: pathClass, measurements: measurements)
    }

    static PathObject createDetectionObject(ROI roi, PathClass pathClass) {
        createDetectionObject(roi, pathClass, new MeasurementList())
    }

    static PathObject createAnnotationObject(ROI roi, PathClass pathClass) {
        new PathObject(type: "annotation", roi: roi, pathClass: pathClass)
    }

    static PathObject createTileObject(ROI roi) { new PathObject(type: "tile", roi: roi) }
}
