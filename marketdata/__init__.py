"""Market data: events in, a numbered ITCH feed and books out."""
