"""Recommendations of a finished run for users and histories."""
