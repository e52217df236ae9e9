"""Files that this package writes and reads again, each defined once."""
