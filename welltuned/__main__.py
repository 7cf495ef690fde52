"""``python -m welltuned`` is the command ``welltuned``."""

from welltuned.cli import main

main()
