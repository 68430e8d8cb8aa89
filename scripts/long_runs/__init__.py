"""Long runs and large studies: what grows with them, and what must not."""
