"""Replication: commands in, one agreed order of them, numbered events out."""
