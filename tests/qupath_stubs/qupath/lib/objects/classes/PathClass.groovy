package qupath.lib.objects.classes

/** One instance of each name, as in QuPath; "A: B" is derived from A; what was made first keeps its colour. */
class PathClass {
    private static final Map<String, PathClass> ALL = [:]
    private String name
    private Integer color

    static PathClass fromString(String text, Integer color) {
        def name = text.split(":")*.trim().findAll { it }.join(": ")
        if (name.contains("\n"))
            throw new IllegalArgumentException("Path class names cannot contain new lines")
        if (!ALL.containsKey(name))
            ALL[name] = new PathClass(name: name, color: color)
        ALL[name]
    }

    Integer getColor() { color }

    String toString() { name }
}
