"""SQL: one file per noun, its SQL table at the top. Functions are synchronous and take `(tx, workspace_id, …)`."""
