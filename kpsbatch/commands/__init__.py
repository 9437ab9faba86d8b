"""One file for each command: it parses its options, calls what does the work, and prints the result.

Heavy imports (NumPy, MediaPipe, rich) stand inside the functions, so that `--help` answers at once.
"""
