"""Rankings of candidates by a language model, with an optimised prompt."""
