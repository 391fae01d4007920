"""How large a difference rounding may cause."""

ROUNDING = 1e-4
"""The difference that rounding may cause, relative to the largest magnitude: about a thousand units in the last place of
single precision, which a deep network, or a sum of thousands of terms, may accumulate."""
