"""docs/config.md and the list of keys that --help shows, from the keys' declarations."""

import textwrap

from ferjax.config.groups import GROUPS
from ferjax.config.moved import MOVED

_RESUME = {"free": "yes", "ask": "with --allow_config_change", "never": "no"}


def to_markdown() -> str:
    """Return docs/config.md."""
    parts = [
        "# Config keys\n",
        "Every key with its default and its legal values. Set one on the command line with `--config.GROUP.KEY=VALUE`, "
        "or in a config file with `config.GROUP.KEY = value`. The last column says whether a run that goes on from its "
        "checkpoint may have another value. `python -m ferjax.config` writes this page from the keys' declarations.\n",
    ]
    for group, (about, keys) in GROUPS.items():
        parts.append(f"## {group}\n\n{about}\n")
        parts.append("| key | default | legal | what it is | may change on resume |\n|---|---|---|---|---|")
        parts += [
            "| "
            + " | ".join(
                cell.replace("|", "\\|")
                for cell in (f"`{group}.{name}`", f"`{key.default!r}`", str(key.legal), key.text, _RESUME[key.resume])
            )
            + " |"
            for name, key in keys.items()
        ]
        parts.append("")
    parts.append("## Old names that stay accepted\n")
    for old, moved in MOVED.items():
        if moved.values is None:
            said = f"`{moved.now}`"
        else:
            said = ", ".join(f"`{moved.now}={new}` where it is {value}" for value, new in moved.values.items())
        parts.append(f"- `{old}`: now {said}")
    return "\n".join(parts) + "\n"


def to_help() -> str:
    """Return all keys as text for a terminal, two lines for each."""
    lines = ["config keys, as --config.GROUP.KEY=VALUE:"]
    for group, (about, keys) in GROUPS.items():
        lines += ["", f"  {group}: {about}"]
        for name, key in keys.items():
            said = textwrap.fill(f"{key.text}; {key.legal}", 100, initial_indent=8 * " ", subsequent_indent=8 * " ")
            lines += [f"    {group}.{name}={key.default}", said]
    return "\n".join(lines)
