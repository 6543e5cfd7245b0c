"""Everything that the notebooks of Process Lab import."""
