"""Runs Yosys commands given as arguments (or in files after -s) in one design; -q hides the log."""
import sys

from pyosys import libyosys as ys


def main():
    arguments = sys.argv[1:]
    quiet = "-q" in arguments
    arguments = [a for a in arguments if a != "-q"]
    if not quiet:
        ys.log_to_stream(sys.stdout) if hasattr(ys, "log_to_stream") else None
    design = ys.Design()
    while arguments:
        command = arguments.pop(0)
        ys.run_pass("script " + arguments.pop(0) if command == "-s" else command, design)


main()
