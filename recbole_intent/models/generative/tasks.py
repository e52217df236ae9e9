"""Names of the two tasks of generative models, and of the edges hidden in training."""

SEQUENTIAL, DIRECT = "sequential", "direct"  # the two tasks
# Edges that are removed from the graph for a training step.
NO_EDGES, TARGETS, UNSEEN = "none", "targets", "unseen"
