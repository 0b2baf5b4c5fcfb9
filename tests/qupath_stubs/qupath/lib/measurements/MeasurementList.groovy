package qupath.lib.measurements

class MeasurementList {
    static enum MeasurementListType { GENERAL, DOUBLE, FLOAT }
    private final Map<String, Double> values = [:]

    void put(String name, double value) { values[name] = value }

    void close() {}

    List<String> getMeasurementNames() { values.keySet() as List }

    double get(String name) { values.containsKey(name) ? values[name] : Double.NaN }
}
