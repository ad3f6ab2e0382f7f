"""Lets `python -m bmtool`, and so `torchrun -m bmtool`, be the command `bmtool`."""

from bmtool.cli import main

if __name__ == "__main__":
    main()
