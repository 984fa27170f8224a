"""The composition root: configuration in, a running server out. It makes everything and is imported by `main` alone."""
