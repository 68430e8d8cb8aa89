"""Runs: from a config to parts, the loop, its checkpoints and its log."""
