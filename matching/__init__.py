"""Order books: strict price-time priority, pure and deterministic."""
