"""Compression: smaller networks that still do the task: fewer units, links, ranks or principal components."""
