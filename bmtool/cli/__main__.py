"""Lets `python -m bmtool.cli` be the command `bmtool`."""

from bmtool.cli import main

if __name__ == "__main__":
    main()
