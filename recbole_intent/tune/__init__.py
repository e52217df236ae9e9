"""Search of hyper-parameters on Ray Tune."""
