"""All that runs inside a step of the pipeline: ordinary functions on ordinary values."""
