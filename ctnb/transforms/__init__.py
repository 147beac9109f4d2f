"""
Transforms: table to table, by a script (transform.R, transform.sql or an analyst's notebook) and by rules.

`apply` is the door. `rbridge` alone imports rpy2, inside functions, in a step's kernel only.
"""
