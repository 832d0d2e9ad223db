"""`python -m shotsmith` is the command `shotsmith`."""

from shotsmith.cli import main

main()
