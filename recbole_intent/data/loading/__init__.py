"""From atomic files to batches: split, sequences, passes, loaders, noise, candidates."""
