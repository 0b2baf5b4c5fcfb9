package qupath.lib.objects.hierarchy

import qupath.lib.objects.PathObject

class PathObjectHierarchy {
    private final Set<PathObject> objects = new LinkedHashSet<>()

    boolean addObjects(Collection<? extends PathObject> added) { objects.addAll(added) }

    void removeObjects(Collection<? extends PathObject> removed, boolean keepChildren) {
        objects.removeAll(removed as Set)
    }

    Collection<PathObject> getDetectionObjects() { objects.findAll { it.isDetection() } }

    Collection<PathObject> getAnnotationObjects() { objects.findAll { it.isAnnotation() } }

    Collection<PathObject> getAllObjects(boolean includeRoot) { objects as List }
}
