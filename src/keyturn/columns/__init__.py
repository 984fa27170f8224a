"""Rows to Arrow: infer, widen, build. The only home of the JSON-to-Arrow path; it knows no API and no table."""
