"""Profiles of items and users in words."""
