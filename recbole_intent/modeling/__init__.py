"""Contracts between models, trainers and commands."""
