"""The command line: thin entry points, each a few lines above the layer that does the work."""
