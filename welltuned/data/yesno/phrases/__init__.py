"""How each domain is spoken about: one module per table of facts, with the table's name."""
