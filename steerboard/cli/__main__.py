"""``python -m steerboard.cli``."""

from steerboard.cli import main

main()
