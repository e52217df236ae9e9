"""Modules and losses that several models use."""
