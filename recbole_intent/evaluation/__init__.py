"""Ranks, metrics and significance: numbers only."""
