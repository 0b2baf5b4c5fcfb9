package qupath.lib.objects

import qupath.lib.measurements.MeasurementList
import qupath.lib.objects.classes.PathClass
import qupath.lib.roi.interfaces.ROI

class PathObject {
    private String type = "annotation", name
    private UUID id = UUID.randomUUID()
    private ROI roi
    private PathClass pathClass
    private MeasurementList measurements = new MeasurementList()
    private Map<String, String> metadata = [:]

    boolean isDetection() { type in ["detection", "tile"] }

    boolean isAnnotation() { type == "annotation" }

    boolean isTile() { type == "tile" }

    UUID getID() { id }

    void setID(UUID id) { this.id = id }

    String getName() { name }

    void setName(String name) { this.name = name }

    ROI getROI() { roi }

    PathClass getPathClass() { pathClass }

    void setPathClass(PathClass pathClass) { this.pathClass = pathClass }

    MeasurementList getMeasurementList() { measurements }

    Map<String, String> getMetadata() { metadata }
}
