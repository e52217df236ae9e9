"""From raw interactions to atomic files."""
