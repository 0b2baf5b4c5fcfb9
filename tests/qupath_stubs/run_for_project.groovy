// Runs a script for each image of a project as `QuPath script --project --save` does. What is needed of QuPath's
// classes stands in the folders beside this; of real ones, the same is asked.
//     groovy run_for_project.groovy SCRIPT PROJECT.json ARGUMENT...
// PROJECT.json lists images, each with id, name, uris, width, height, type and objects; it is written anew after. An
// image without an id is open without a project.
import com.google.gson.Gson
import com.google.gson.GsonBuilder
import qupath.lib.objects.PathObjects
import qupath.lib.objects.classes.PathClass
import qupath.lib.objects.hierarchy.PathObjectHierarchy
import qupath.lib.regions.ImagePlane
import qupath.lib.roi.ROIs
import qupath.lib.scripting.QP

class Server {
    int width, height
    String type, name
    List uris

    String getServerType() { type }

    Collection<URI> getURIs() { uris.collect { new URI(it) } }

    Metadata getMetadata() { new Metadata(name: name) }
}

class Metadata {
    String name
}

class Image {
    Server server
    PathObjectHierarchy hierarchy
}

class Entry {
    String id, imageName
    List uris

    String getID() { id }

    Collection<URI> getURIs() { uris.collect { new URI(it) } }
}

class Project {
    List<Entry> imageList
}

def script = new File(args[0]), file = new File(args[1]), images = new Gson().fromJson(file.getText("UTF-8"), List)
def entries = images.collect { new Entry(id: it.id, imageName: it.name, uris: it.uris) }
QP.project = entries.every { it.id } ? new Project(imageList: entries) : null
images.eachWithIndex { image, index ->
    def hierarchy = new PathObjectHierarchy()
    hierarchy.addObjects(image.objects.collect { each ->
        def (x, y, width, height) = each.box
        def roi = ROIs.createRectangleROI(x, y, width, height, ImagePlane.getDefaultPlane())
        def pathClass = each.class ? PathClass.fromString(each.class, 0x101010) : null
        def object = each.type == "annotation" ? PathObjects.createAnnotationObject(roi, pathClass)
            : each.type == "tile" ? PathObjects.createTileObject(roi)
            : PathObjects.createDetectionObject(roi, pathClass)
        each.measurements.each { name, value -> object.getMeasurementList().put(name, value) }
        object.setName(each.name)
        object.setID(UUID.fromString(each.id))
        object
    })
    def server = new Server(image.subMap("width", "height", "type", "name", "uris"))
    QP.imageData = new Image(server: server, hierarchy: hierarchy)
    QP.projectEntry = QP.project ? entries[index] : null
    def last = index == images.size() - 1
    def given = [args: args.drop(2), "qupath.script.batchLast": last, "qupath.script.batchSave": QP.project != null]
    try {
        new GroovyShell(new Binding(given)).evaluate(script)
    } catch (Exception error) {
        println "${image.name}: ${error.message}"
        return  // and is not saved
    }
    image.objects = hierarchy.getAllObjects(false).collect { object ->
        def roi = object.getROI(), list = object.getMeasurementList()
        [
            id: object.getID() as String,
            type: object.isTile() ? "tile" : object.isDetection() ? "detection" : "annotation",
            name: object.getName(),
            class: object.getPathClass() as String,
            colour: object.getPathClass()?.getColor(),
            box: [roi.boundsX, roi.boundsY, roi.boundsWidth, roi.boundsHeight],
            measurements: list.getMeasurementNames().collectEntries { [it, list.get(it)] },
            metadata: object.getMetadata(),
        ]
    }
}
file.setText(new GsonBuilder().create().toJson(images), "UTF-8")
