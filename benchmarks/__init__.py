"""Measurements: adapters for other people's kernels, scripts, and recorded results with their provenance."""
