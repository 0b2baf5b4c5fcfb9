// Puts the detections of signetscan into the images of a QuPath project: NAME.geojson or NAME.geojson.gz into the image
// whose file is called NAME. Set the folder of results here, then choose Run > Run for project.
def folder = new File("/path/to/results")

def name = GeneralTools.stripExtension(getProjectEntry().getImageName())
def file = [".geojson", ".geojson.gz"].collect { new File(folder, name + it) }.find { it.exists() }
if (file == null) {
    println "No results for ${name} in ${folder}"
    return
}
def stream = file.newInputStream()
def objects = PathIO.readObjectsFromGeoJSON(
    file.name.endsWith(".gz") ? new java.util.zip.GZIPInputStream(stream) : stream
)

// Detections of an earlier import are replaced; annotations, which are yours, stay.
removeObjects(getDetectionObjects().findAll { !Double.isNaN(measurement(it, "Score")) }, true)
addObjects(objects)
fireHierarchyUpdate()
println "${objects.size()} detections in ${name}"
