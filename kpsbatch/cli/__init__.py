"""The command line: `main.py` has the table of commands, each of which parses, calls what does the work, and prints."""
