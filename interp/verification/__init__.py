"""Published numbers, replayed against published files: a table of facts, each computed again and compared.

`facts` reads the file in which facts stand, `quantity` is what can be computed again, `replay` does it.
"""
