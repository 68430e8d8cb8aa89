"""Drills: accidents that happen to real runs, made on purpose, and what must hold after each."""
