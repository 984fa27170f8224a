"""HTTP in: requests become verbs, values become answers. It reaches storage, egress and keys through services alone."""
