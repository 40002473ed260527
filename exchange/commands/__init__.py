"""The verbs of the command `exchange`, by what they are for."""
