"""The program: command line, configuration, wiring, demo, bench."""
