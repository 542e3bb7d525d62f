"""A reconstructor's value head: as it should be, as a pickle, as a placeholder of another exporter."""
