"""Asking a language model once: providers, cache, retries, replies. It knows no paper."""
