"""How good explanations are: measured by metrics, and against networks whose right answer is known."""
