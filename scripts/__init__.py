"""Scripts for the shell, and what they run."""
