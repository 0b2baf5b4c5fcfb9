// Puts the detections of signetscan into the images of a QuPath project. For QuPath 0.4 to 0.8.
//
// In QuPath: set the folder of results below, then Run > Run for project.
// Without a window:
//     QuPath script --project=project.qpproj --save --args=/path/to/results import_results.groovy
//
// An image gets the results of its file: NAME.run.json with NAME.csv or, where there is no CSV, NAME.geojson or
// NAME.geojson.gz, or all their parts (NAME.part1.geojson ...). They are read line by line, so that a million detections fit into 400 MB. Each object is called
// "signetscan: CLASS"; a later import replaces those, and detections of the same id, and no other object.
import com.google.gson.JsonObject
import com.google.gson.JsonParser
import groovy.transform.CompileDynamic
import groovy.transform.CompileStatic
import groovy.transform.Field
import java.text.Normalizer
import java.util.zip.GZIPInputStream
import qupath.lib.measurements.MeasurementList
import qupath.lib.measurements.MeasurementListFactory
import qupath.lib.objects.PathObject
import qupath.lib.objects.PathObjects
import qupath.lib.objects.classes.PathClass
import qupath.lib.regions.ImagePlane
import qupath.lib.roi.ROIs
import qupath.lib.scripting.QP

@Field String resultsFolder = "/path/to/results"

@Field final String MARK = "signetscan: "
@Field final String RECORD = ".run.json"
@Field final String HEADER = "id,class,score,x0_px,y0_px,x1_px,y1_px,centre_x_um,centre_y_um,width_um,height_um"
// QuPath's names of the columns that --measure adds, and of sizes, which then are measurements too.
@Field final Map MEASURED = [
    width_um: "Width µm", height_um: "Height µm",
    haematoxylin_od_mean: "Haematoxylin OD mean", haematoxylin_od_sd: "Haematoxylin OD std dev",
    eosin_od_mean: "Eosin OD mean", eosin_od_sd: "Eosin OD std dev",
    pale_share: "Pale share", sharpness: "Sharpness", nearest_um: "Nearest neighbour µm",
]
// The colours of signetscan's labels; a class that the project has keeps its own.
@Field final List COLOURS = [
    [227, 26, 28], [31, 120, 180], [51, 160, 44], [255, 127, 0], [106, 61, 154], [177, 89, 40],
]

def given = binding.variables.get("args")
def folder = new File(given ? given[0] as String : resultsFolder)
if (!folder.isDirectory())
    throw new IllegalArgumentException("${folder}: no such folder; set resultsFolder, or name it with --args")
def imageData = QP.getCurrentImageData()
if (imageData == null)
    throw new IllegalStateException("No image is open: open one, or choose Run for project")

def entry = QP.getProjectEntry()
def server = imageData.getServer()
def imageName = entry == null ? server.getMetadata().getName() : entry.getImageName()
def results = namesOfResults(folder)
def others = entry == null ? [] : QP.getProject().getImageList()
def match = resultsOf(entry == null ? server.getURIs() : entry.getURIs(), imageName, results)
if (match == null) {
    println "${imageName}: NOT IMPORTED, no results in ${folder} are named as this image or its file"
} else {
    def rivals = others.findAll { other ->
        def theirs = resultsOf(other.getURIs(), other.getImageName(), results)
        def sameFile = (other.getURIs() as Set) == (entry.getURIs() as Set)
        !sameFile && theirs?.name == match.name && (theirs.by == "file" || match.by == "name")
    }
    if (rivals)
        println "${imageName}: NOT IMPORTED, the results ${match.name} may as well be of " +
            "${rivals*.getImageName().join(', ')}; import the results of each folder of slides by themselves"
    else
        putInto(imageData, imageName, folder, match)
}
def last = binding.variables.get("qupath.script.batchLast")
if (last && others) {
    def taken = others.collect { resultsOf(it.getURIs(), it.getImageName(), results)?.name } as Set
    def left = (results.values() as List) - taken
    if (left)
        println "No image of the project takes ${left.size()} of the results: ${left.join(', ')}"
}
if (last && binding.variables.get("qupath.script.batchSave") == false)
    println "Not saved yet. In QuPath: File > Save. On the command line: run again with --save"

/** Names of the results in a folder and those below, such as A/biopsy; the keys spell accents in one way. */
Map namesOfResults(File folder) {
    def names = new TreeMap()
    folder.eachFileRecurse(groovy.io.FileType.FILES) { file ->
        if (file.name.endsWith(RECORD) && !file.name.startsWith(".")) {
            def name = folder.toPath().relativize(file.toPath()).join("/")
            name = name.substring(0, name.length() - RECORD.length())
            names[composed(name)] = name
        }
    }
    return names
}

/** The results of an image, by its files, then by its name; folders in a result's name must be those of the file. */
Map resultsOf(Collection uris, String imageName, Map results) {
    def paths = uris.collect { it.getPath() }.findAll { it }
    def byFile = paths.collectMany { spellings(it) }.findResult { longestEnd(it, results) }
    if (byFile)
        return [name: byFile, by: "file"]
    def series = imageName =~ /^(.*\.[A-Za-z][A-Za-z0-9]+) - .+$/  // as Bio-Formats names the images of one file
    def names = spellings(imageName) + (series ? spellings(series[0][1]) : [])
    def byName = names.findResult { longestEnd(it, results) }
    return byName ? [name: byName, by: "name"] : null
}

/** A path, and the same without its suffix. Slides of one name keep their suffix in the names of their results. */
List spellings(String path) {
    def whole = composed(path)
    return [whole, whole.replaceFirst(/\.[A-Za-z][A-Za-z0-9]*$/, "").replaceFirst(/\.ome$/, "")].unique()
}

String longestEnd(String path, Map results) {
    def parts = path.split("/").findAll { it }
    return (0..<parts.size()).findResult { results[parts.drop(it).join("/")] }
}

/** The same text whether an accent is a letter's own or stands after it, as on macOS. */
String composed(String text) {
    return Normalizer.normalize(text, Normalizer.Form.NFC)
}

void putInto(imageData, String imageName, File folder, Map match) {
    def record = new File(folder, match.name + RECORD).withReader("UTF-8") { JsonParser.parseReader(it) } as JsonObject
    def server = imageData.getServer()
    def origin = originOf(server, record)
    if (origin == null) {
        println "${imageName}: NOT IMPORTED, it is ${server.getWidth()} x ${server.getHeight()} pixels" +
            " (${server.getServerType()}), and the results ${match.name} are of a slide of ${sizesOf(record)}"
        return
    }

    // What an earlier import put in goes, but for what somebody has given another class since.
    def old = [], kept = [], rest = [:]
    imageData.getHierarchy().getDetectionObjects().each {
        if (!it.getName()?.startsWith(MARK))
            rest[it.getID()] = it
        else if (it.getName() == MARK + it.getPathClass())
            old << it
        else {
            kept << it
            rest[it.getID()] = it
        }
    }
    def files = filesOf(folder, match.name as String, record)
    def maker = new Maker(origin: origin, classes: classesOf(record), mark: MARK, rest: rest)
    def count = files.sum { file ->
        file.name.endsWith(".csv") ? readCsv(file, maker) : readGeoJson(file, maker, originOfGeoJson(record))
    }
    def expected = record.getAsJsonObject("detections").entrySet().sum(0) { it.value.getAsInt() }
    if (count != expected)
        throw new IOException("${files.join(', ')}: ${counted(count, 'detection')}, and its run record says ${expected}; " +
            "nothing was changed")

    def hierarchy = imageData.getHierarchy()
    hierarchy.removeObjects(old + maker.replaced, true)
    hierarchy.addObjects(maker.made)
    def changed = (kept + maker.changed) as Set
    def others = rest.size() - maker.replaced.size() - changed.size()
    println "${imageName}: ${counted(maker.made.size(), 'detection')} from ${files[0].name}" +
        (files.size() > 1 ? " and ${files.size() - 1} more" : "") +
        (match.by == "name" ? ", found by the image's name, not its file's" : "") +
        (old || maker.replaced ? "; ${old.size() + maker.replaced.size()} of an earlier import replaced" : "") +
        (changed ? "; ${changed.size()} kept, because somebody changed the class" : "") +
        (others ? "; ${counted(others, 'other detection')} left as ${others == 1 ? 'it is' : 'they are'}" : "")
}

/** Where the image's corner lies in the slide, level-0 pixels: QuPath crops to the bounds that scanners declare. */
List originOf(server, JsonObject record) {
    def slide = record.getAsJsonObject("slide")
    def size = [server.getWidth(), server.getHeight()]
    if (server.getServerType() =~ /\(Rotate \d+\)/)
        return null
    def bounds = slide.get("bounds")
    if (bounds?.isJsonObject() && size == [bounds.get("width").getAsInt(), bounds.get("height").getAsInt()])
        return [bounds.get("x").getAsDouble(), bounds.get("y").getAsDouble()]
    return size == [slide.get("width_px").getAsInt(), slide.get("height_px").getAsInt()] ? [0d, 0d] : null
}

String sizesOf(JsonObject record) {
    def slide = record.getAsJsonObject("slide")
    def bounds = slide.get("bounds")
    return "${slide.get('width_px')} x ${slide.get('height_px')}" +
        (bounds?.isJsonObject() ? ", ${bounds.get('width')} x ${bounds.get('height')} in its bounds" : "")
}

List originOfGeoJson(JsonObject record) {
    return record.getAsJsonArray("geojson_origin_px").collect { it.getAsDouble() }
}

/** Classes by name, in the colours that signetscan gives them. */
Map classesOf(JsonObject record) {
    def classes = [:]
    record.getAsJsonObject("model").getAsJsonArray("classes")*.getAsString().eachWithIndex { name, label ->
        def (red, green, blue) = COLOURS[label % COLOURS.size()]
        classes[name] = PathClass.fromString(name, 255 << 24 | red << 16 | green << 8 | blue)
    }
    return classes
}

/** The file of results to read, or all its parts, which must be as long as their run record says. */
List filesOf(File folder, String name, JsonObject record) {
    def files = record.getAsJsonObject("files")
    def format = ["csv", "geojson", "geojson.gz"].find { files.has(it) }
    if (format == null)
        throw new IOException("${name}: neither CSV nor GeoJSON; make one with signetscan convert")
    def first = files.getAsJsonObject(format)
    def more = first.has("more") ? first.getAsJsonArray("more").collect { it.getAsJsonObject() } : []
    return ([first] + more).collect { noted ->
        def file = new File(new File(folder, name).getParentFile(), noted.get("name").getAsString())
        if (!file.isFile())
            throw new IOException("${file}: is not there, and ${name}${RECORD} names it")
        if (file.length() != noted.get("bytes").getAsLong())
            throw new IOException("${file}: ${file.length()} bytes, and its run record says ${noted.get('bytes')}")
        return file
    }
}

int readCsv(File file, Maker maker) {
    int count = 0
    file.withReader("UTF-8") { reader ->
        String header = reader.readLine()
        if (header != HEADER && !header?.startsWith(HEADER + ","))
            throw new IOException("${file}: is no CSV of signetscan's")
        List<String> columns = header == HEADER ? [] : header.split(",") as List
        maker.measured = columns.collectEntries { [(columns.indexOf(it)): MEASURED[it]] }.findAll { it.value }
        maker.tissue = columns.indexOf("tissue")
        String line
        while ((line = reader.readLine()) != null) {
            while (line.indexOf('"') >= 0 && line.count('"') % 2 == 1)  // a class name goes on in the next line
                line += "\n" + reader.readLine()
            maker.fromRow(line)
            count++
        }
    }
    return count
}

int readGeoJson(File file, Maker maker, List origin) {
    int count = 0
    def stream = file.newInputStream()
    def unpacked = file.name.endsWith(".gz") ? new GZIPInputStream(stream) : stream
    new BufferedReader(new InputStreamReader(unpacked, "UTF-8")).withCloseable { reader ->
        if (reader.readLine() != '{"type":"FeatureCollection","features":[')
            throw new IOException("${file}: is no GeoJSON that signetscan wrote; drag it onto the image")
        String line
        while ((line = reader.readLine()) != null && !line.startsWith("]")) {
            if (!line)
                continue  // there are no detections
            maker.fromFeature(JsonParser.parseString(line.endsWith(",") ? line[0..-2] : line) as JsonObject, origin)
            count++
        }
    }
    return count
}

String counted(int number, String noun) {
    return "${number} ${noun}${number == 1 ? '' : 's'}"
}

/** Makes QuPath's objects, but for those that are there already and have been given another class. */
@CompileStatic
class Maker {
    List<Double> origin
    Map<String, PathClass> classes
    Map<String, String> names = [:]
    String mark
    Map<UUID, PathObject> rest
    List<PathObject> made = [], replaced = [], changed = []
    ImagePlane plane = ImagePlane.getDefaultPlane()
    /** Names of measurements by their columns, and the column of the tissue; empty and -1 if there are none. */
    Map<Integer, String> measured = [:]
    int tissue = -1

    void fromRow(String line) {
        if (measured) {
            fromMeasuredRow(fields(line))
            return
        }
        String[] cells = line.split(",", -1)
        String name = cells[1]
        int more = cells.length - 11  // commas in the class name
        if (line.indexOf('"') >= 0)
            name = cells[1..(1 + more)].join(",")[1..-2].replace('""', '"')
        if (name.startsWith("'") && !classes.containsKey(name))
            name = name.substring(1)  // it is there for spreadsheets
        double[] edges = new double[4]
        for (int edge = 0; edge < 4; edge++)
            edges[edge] = Double.parseDouble(cells[3 + more + edge])
        add(cells[0], name, Double.parseDouble(cells[2 + more]), edges, [:], "")
    }

    private void fromMeasuredRow(List<String> cells) {
        double[] edges = new double[4]
        for (int edge = 0; edge < 4; edge++)
            edges[edge] = Double.parseDouble(cells[3 + edge])
        Map<String, Double> values = [:]
        measured.each { index, title ->
            if (cells[index])
                values[title] = Double.parseDouble(cells[index])
        }
        String lies = tissue < 0 ? "" : plain(cells[tissue])
        String name = classes.containsKey(cells[1]) ? cells[1] : plain(cells[1])
        add(cells[0], name, Double.parseDouble(cells[2]), edges, values, lies)
    }

    /** A text without the apostrophe that is there for spreadsheets. */
    private static String plain(String text) {
        return text.startsWith("'") ? text.substring(1) : text
    }

    /** The fields of a line, of which those in quotes may hold commas, quotes and line ends. */
    private static List<String> fields(String line) {
        List<String> found = []
        StringBuilder field = new StringBuilder()
        boolean quoted = false
        for (int at = 0; at < line.length(); at++) {
            char letter = line.charAt(at)
            if (quoted && letter == ('"' as char) && at + 1 < line.length() && line.charAt(at + 1) == ('"' as char)) {
                field.append(letter)
                at++
            } else if (letter == ('"' as char)) {
                quoted = !quoted
            } else if (letter == (',' as char) && !quoted) {
                found << field.toString()
                field.setLength(0)
            } else {
                field.append(letter)
            }
        }
        found << field.toString()
        return found
    }

    void fromFeature(JsonObject feature, List<Double> start) {
        JsonObject properties = feature.getAsJsonObject("properties")
        def ring = feature.getAsJsonObject("geometry").getAsJsonArray("coordinates").get(0).getAsJsonArray()
        def first = ring.get(0).getAsJsonArray()
        def third = ring.get(2).getAsJsonArray()
        double[] edges = [
            first.get(0).getAsDouble() + start[0], first.get(1).getAsDouble() + start[1],
            third.get(0).getAsDouble() + start[0], third.get(1).getAsDouble() + start[1],
        ] as double[]
        Map<String, Double> values = [:]
        for (entry in properties.getAsJsonObject("measurements").entrySet())
            values[entry.key] = entry.value.getAsDouble()
        double score = values.remove("Score")
        String name = properties.getAsJsonObject("classification").get("name").getAsString()
        JsonObject metadata = properties.has("metadata") ? properties.getAsJsonObject("metadata") : null
        String lies = metadata != null && metadata.has("Tissue") ? metadata.get("Tissue").getAsString() : ""
        add(feature.get("id").getAsString(), name, score, edges, values, lies)
    }

    private void add(
        String id, String name, double score, double[] edges, Map<String, Double> values, String lies
    ) {
        PathClass pathClass = classes[name]
        if (pathClass == null)
            throw new IOException("the class " + name + " is not among those of the run record")
        UUID uuid = UUID.fromString(id)
        PathObject there = rest[uuid]
        if (there != null) {
            if (there.getPathClass() != pathClass) {
                changed << there
                return
            }
            replaced << there
        }
        double width = edges[2] - edges[0], height = edges[3] - edges[1]
        def roi = ROIs.createRectangleROI(edges[0] - origin[0], edges[1] - origin[1], width, height, plane)
        MeasurementList measurements =
            MeasurementListFactory.createMeasurementList(1 + values.size(), MeasurementList.MeasurementListType.DOUBLE)
        measurements.put("Score", score)
        values.each { title, value -> measurements.put(title, value) }
        measurements.close()  // lists with the same names share them from now on
        PathObject object = PathObjects.createDetectionObject(roi, pathClass, measurements)
        object.setID(uuid)
        object.setName(names.computeIfAbsent(name) { mark + pathClass })
        if (lies)
            noteTissue(object, lies)
        made << object
    }

    /** QuPath's objects have metadata from 0.5 on. */
    @CompileDynamic
    private static void noteTissue(PathObject object, String lies) {
        if (object.metaClass.respondsTo(object, "getMetadata"))
            object.getMetadata().put("Tissue", lies)
    }
}
