"""An HTTP server over a finished run."""
