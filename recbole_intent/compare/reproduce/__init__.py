"""The papers' tables and figures, as comparisons."""
