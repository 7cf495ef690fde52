"""The commands, one file each; each holds a function named ``command``."""
