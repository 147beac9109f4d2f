"""
The embedded portal: an open data portal in one process and one SQLite file.

    server         the socket: Host check, size limit, threads, address file, a clean end
    answers        what goes in and out of a route: Call, Answer, Refused, Route
    store          the file: schema, one writer at a time, readers on snapshots
    accounts       who may do what: key id and secret, mail address and password, OAuth and app tokens
    catalogue      views and their columns; filters, what a filtered view leaves of another
    describing, bodies    a view as the API shows it; what callers send
    columns, copies, sharing, assets, metadata    the views API in parts; inventories is /data.json
    datasync, syncing, controls, patches    DataSync: its routes, its worker, control files, the bytes it sends
    cells, rows    one cell; the rows of one view
    soql           the query language, text to trees by way of tokens; soql_functions says what there is
    queries, statements, compiler, lookups    a request's parameters compiled to SQL, and the index it reads by
    functions, aggregates, calculations, spatial    what SQLite is taught: exact numbers, letters, geometries
    renderings, exports, freshness    rows as text; whole files of them; whether a caller's copy is still good
    soda_read, soda3, soda_write, views, listings, pages    one module for each part of the protocol
    revisions, uploads, outputs, configs    the routes of DSMAPI; drafts keeps what they make
    workshop, preparing, applying, resuming    the worker: a file parsed, transformed, applied
    parsing, guessing, transforms, vectors    a file to texts, texts to stored cells, in DuckDB
    certificates   TLS on loopback

A dialect is a module with a tuple of routes that `server` joins. Nothing here is known to ctnb alone.
"""
