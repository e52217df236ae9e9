"""Intents of training sessions, from a language model or metadata."""
