"""Where imports and reads go. A destination takes batches and a stamp; it knows no table and no connection."""
