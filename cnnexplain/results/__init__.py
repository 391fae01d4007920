"""Records, and their files: one schema, atomic writing and reading."""
