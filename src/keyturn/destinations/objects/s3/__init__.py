"""Buckets of Amazon S3, and of servers that speak its protocol."""
