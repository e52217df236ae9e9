"""Recommendation with intents on RecBole 1.2.1: IGR-SR, VELI4SBR, ISRF and fair comparison."""

__version__ = "0.1.0"
