"""One run and its folder: training, evaluation, several runs side by side."""
