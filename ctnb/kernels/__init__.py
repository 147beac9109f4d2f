"""
Running a notebook's cells in a kernel, and saying truthfully what happened.

`execution.execute` runs a notebook; `pools.KernelPool` makes kernels start quickly.
"""

import sys

# jupyter_events -> jsonschema imports rfc3987_syntax where JupyterLab is installed, and compiling its
# grammars costs a second; no Jupyter schema needs it (jupyter-server/jupyter_server#1559).
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # None marks "not there"
