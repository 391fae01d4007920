"""The built-in analyses and models, one module or package each, found through entry points like third-party plugins."""
