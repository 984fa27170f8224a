"""REST reading, pure: how pages follow, where rows are, what is retried, and the loop. No product word, no Arrow."""
