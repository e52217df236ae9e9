"""Item tables that start from a distiller's, an option of several models."""
