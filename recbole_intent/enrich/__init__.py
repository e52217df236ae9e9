"""Offline enrichment: files of language-model answers about sessions, items and users."""
