"""The commands, one file each; each holds a function named ``command``. A package is a group of commands."""
