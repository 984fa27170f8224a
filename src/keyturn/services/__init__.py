"""Verbs: what Keyturn does, in the glossary's words. Edges call these; nothing here knows HTTP, argv or pages."""
