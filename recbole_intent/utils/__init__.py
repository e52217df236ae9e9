"""What every package may use: errors, files, parsing, printing."""
