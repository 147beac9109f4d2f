"""Where rows come from: one module per kind of source, each yielding text under a known header."""
