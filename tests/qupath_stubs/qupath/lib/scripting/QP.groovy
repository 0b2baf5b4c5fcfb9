package qupath.lib.scripting

import qupath.lib.io.PathIO
import qupath.lib.io.PathIO.GeoJsonExportOptions
import qupath.lib.objects.PathObject

/** What a script asks for; the driver says what there is. */
class QP {
    static imageData, project, projectEntry

    static getCurrentImageData() { imageData }

    static getProject() { project }

    static getProjectEntry() { projectEntry }

    static Collection<PathObject> getAnnotationObjects() { imageData.hierarchy.getAnnotationObjects() }

    static Collection<PathObject> getDetectionObjects() { imageData.hierarchy.getDetectionObjects() }

    static void exportObjectsToGeoJson(Collection<? extends PathObject> objects, String path, String... options) {
        def chosen = options.collect { GeoJsonExportOptions.valueOf(it) } as GeoJsonExportOptions[]
        PathIO.exportObjectsAsGeoJSON(new File(path), objects, chosen)
    }
}
