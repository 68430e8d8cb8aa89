"""Documents: one table, and how it is written as Markdown, aligned text, LaTeX, HTML and CSV."""
