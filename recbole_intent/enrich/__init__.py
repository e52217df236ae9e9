"""Offline enrichment: what a language model says of sessions and items, kept in files."""
