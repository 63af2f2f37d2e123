"""The command line: one small file for each command, no logic; heavy imports happen inside the commands."""
