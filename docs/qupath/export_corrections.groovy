// Writes the annotations and detections of each image of a QuPath project as GeoJSON, for `signetscan dataset add`,
// `evaluate` and `train`. For QuPath 0.4 to 0.8.
//
// In QuPath: save all images, set the folder below, then Run > Run for project (without saving).
// Without a window:
//     QuPath script --project=project.qpproj --args=/path/to/corrections export_corrections.groovy
//
// The file is called as the image's file: NAME.geojson. An image without any annotation or detection gets none.
import groovy.transform.Field
import java.nio.file.Files
import java.nio.file.StandardCopyOption
import qupath.lib.scripting.QP

@Field String correctionsFolder = "/path/to/corrections"

// Objects of these classes say which part somebody looked through.
@Field final List REGIONS = ["positive region", "normal region", "region*", "roi", "normal",
                              "reviewed region", "reviewed"]

def given = binding.variables.get("args")
def folder = new File(given ? given[0] as String : correctionsFolder)
def entry = QP.getProjectEntry()
if (entry == null)
    throw new IllegalStateException("No image of a project is open: choose Run for project")
if (!folder.isDirectory() && !folder.mkdirs())
    throw new IOException("${folder}: cannot be made; set correctionsFolder, or name it with --args")

def imageName = entry.getImageName()
def annotations = QP.getAnnotationObjects()
def detections = QP.getDetectionObjects().findAll { !it.isTile() }
if (!annotations && !detections) {
    println "${imageName}: NOT EXPORTED, it has no annotations and no detections"
    return
}
def name = fileNameOf(entry)
def alike = QP.getProject().getImageList().findAll {
    it.getID() != entry.getID() && fileNameOf(it).equalsIgnoreCase(name)
}
if (alike)  // several images of one file, or files of one name
    name = "${name}-${entry.getID()}"
if (new File(folder, "${name}.run.json").exists())
    throw new IOException("${folder}: holds the results of ${name}, which would be written over; name another folder")

def file = new File(folder, "${name}.geojson")
def part = new File(folder, ".${name}.part.geojson")
try {
    QP.exportObjectsToGeoJson(annotations + detections, part.getPath(), "FEATURE_COLLECTION")
    Files.move(part.toPath(), file.toPath(), StandardCopyOption.REPLACE_EXISTING)
} finally {
    part.delete()
}
def regions = annotations.count { it.getPathClass()?.toString()?.toLowerCase() in REGIONS }
def exported = "${counted(annotations.size(), 'annotation')} and ${counted(detections.size(), 'detection')}"
println "${imageName}: ${exported} in ${file.name}" +
    (regions ? "" : "; no region says what was looked through") +
    (alike ? "; ${alike*.getImageName().join(', ')} would have the same file name" : "")

/** The name of an image's file without its suffix, as signetscan calls its results; of several files, the first's. */
String fileNameOf(entry) {
    def path = entry.getURIs().findResult { it.getPath() }
    def last = path ? path.split("/").last() : entry.getImageName()
    def stem = last.replaceFirst(/\.[A-Za-z][A-Za-z0-9]*$/, "").replaceFirst(/\.ome$/, "")
    return stem.replaceAll(/[\\\/:*?"<>|\p{Cntrl}]/, "_")
}

String counted(int number, String noun) {
    return "${number} ${noun}${number == 1 ? '' : 's'}"
}
