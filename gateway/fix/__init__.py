"""FIX order entry."""
