"""The layers as users see them, and which pixels their units see."""
