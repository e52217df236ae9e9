"""Data: raw sources, preparation, file formats, and loading for a run."""
