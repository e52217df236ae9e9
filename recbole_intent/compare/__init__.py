"""Comparison of models: entries, jobs, tables, figures and the page."""
