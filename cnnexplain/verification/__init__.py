"""Verifies results: runs the checks of an analysis, and those that every analysis must pass, and says what they mean."""
