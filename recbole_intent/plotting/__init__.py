"""The style of figures, and the figures."""
