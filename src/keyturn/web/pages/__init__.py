"""Pages for people, one file per noun. They call the same verbs as the API."""
