"""The built-in analyses and models: a module or a package each, found through its entry point as any other plugin is."""
