"""The configuration: keys, presets, and the registry of models."""
