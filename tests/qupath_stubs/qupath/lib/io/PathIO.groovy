package qupath.lib.io

import com.google.gson.Gson
import qupath.lib.objects.PathObject

class PathIO {
    static enum GeoJsonExportOptions { PRETTY_JSON, EXCLUDE_MEASUREMENTS, FEATURE_COLLECTION }

    /** Rectangles only, written as QuPath writes them. */
    static void exportObjectsAsGeoJSON(
            File file, Collection<? extends PathObject> objects, GeoJsonExportOptions... options) {
        def features = objects.collect { object ->
            def roi = object.getROI()
            def (x0, y0) = [roi.boundsX, roi.boundsY]
            def (x1, y1) = [x0 + roi.boundsWidth, y0 + roi.boundsHeight]
            def properties = [objectType: object.isTile() ? "tile" : object.isDetection() ? "detection" : "annotation"]
            if (object.getName())
                properties.name = object.getName()
            if (object.getPathClass()) {
                def rgb = object.getPathClass().getColor() ?: 0
                properties.classification = [
                    name: object.getPathClass() as String,
                    color: [rgb >> 16 & 255, rgb >> 8 & 255, rgb & 255],
                ]
            }
            def list = object.getMeasurementList()
            if (list.getMeasurementNames())
                properties.measurements = list.getMeasurementNames().collectEntries { [it, list.get(it)] }
            [
                type: "Feature",
                id: object.getID() as String,
                geometry: [type: "Polygon", coordinates: [[[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]]],
                properties: properties,
            ]
        }
        def whole = GeoJsonExportOptions.FEATURE_COLLECTION in options
        file.setText(new Gson().toJson(whole ? [type: "FeatureCollection", features: features] : features), "UTF-8")
    }
}
