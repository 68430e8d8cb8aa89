"""How tables and pages are written: Markdown, CSV, LaTeX, HTML, text for the terminal."""
