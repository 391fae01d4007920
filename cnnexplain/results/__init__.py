"""Records and their files: the schema, atomic writing, and reading."""
