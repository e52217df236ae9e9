"""The training loop: checkpoints, exact resume, ranking, several processes."""
