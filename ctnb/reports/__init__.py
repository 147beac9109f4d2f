"""
The pages of a record: `pages.report` for a run, `notebooks.to_html` for an executed notebook.

Both are single HTML files without a script, without a request and without a font or style from elsewhere;
both begin with a Content-Security-Policy that would stop all three. Text that comes from data, from people or
from a portal is escaped by `markup.h`; HTML that a cell made goes through `sanitising.clean` first.
"""
