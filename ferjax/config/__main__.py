"""Print docs/config.md: `python -m ferjax.config > docs/config.md`."""

from ferjax.config.document import to_markdown

print(to_markdown(), end="")
