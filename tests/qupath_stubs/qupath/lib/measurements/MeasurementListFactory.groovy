package qupath.lib.measurements

class MeasurementListFactory {
    static MeasurementList createMeasurementList(int capacity, MeasurementList.MeasurementListType type) {
        new MeasurementList()
    }
}
