"""Vectors of texts, from a sentence encoder."""
