"""The 2023 course report that ferjax reproduces: its settings, its numbers, its words."""
