"""The commands, one file each: a function ``command``, and ``SETTINGS`` of its parser where it needs any.

A package is a group of commands.
"""
