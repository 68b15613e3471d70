"""Start the command with `python -m ops.cli`."""

from ops.cli import main

main()
