"""Public wire formats, bytes <-> typed messages, sans-I/O."""
