"""A page to look at runs with: the comparison, curves, a playground, the attention laboratory.

``folder`` reads what a folder holds, each tab is a file (``comparison``, ``curves``, ``playground``, ``laboratory``),
``looks`` is the page's appearance, ``serving`` puts it together. Whatever the page needs comes from this machine.
"""
