"""A laboratory for one attention head: what it can do exactly, what only nearly, and how nearly.

Every module but the helpers holds one demonstration: ``measure(...)`` (``head_maps`` in ``maps``) returns
a frozen result with ``to_dict()``, and ``figure(result)`` draws it.

Letters: n keys, h numbers in a key, d numbers in a value, T a temperature (or tokens, in ``maps``).
"""
