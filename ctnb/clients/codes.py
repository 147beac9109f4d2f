"""
What a portal's error may be called in a message: words that its maker has written down, and no other.

A portal that quotes a row can put a cell where its code belongs, and a surname is a single word as a code is. So a
message repeats a code, a status or a content type only when it is one of these; anything else is left out.
"""

from __future__ import annotations

SOCRATA = frozenset([
    "accepted", "approval_submitted", "authentication_required", "dataset.missing", "internal-error",
    "internal_error", "invalid_request", "method-not-allowed", "method_not_allowed", "not_authenticated",
    "not_found", "permission_denied", "request-timeout", "service-unavailable", "too-many-requests",
    "query.compiler.malformed", "query.soql.aggregate-function-not-allowed", "query.soql.circular-alias",
    "query.soql.column-not-in-group-bys", "query.soql.duplicate-alias", "query.soql.no-such-column",
    "query.soql.no-such-function", "query.soql.having-without-group-by", "query.soql.non-boolean-having",
    "query.soql.non-boolean-where", "query.soql.non-groupable-group-by", "query.soql.type-mismatch",
    "query.soql.unorderable-order-by", "req.bad-parameter", "req.body.malformed-json",
    "req.body.too-large", "req.content-type.missing", "req.content-type.not-json",
    "req.content-type.unknown-charset", "req.content-type.unparsable", "req.content.json.not-object",
    "soda.column.maltyped", "soda.column.not-unique", "soda.dataset.cannot-acquire-write-lock",
    "soda.dataset.column-not-found", "soda.dataset.incorrect-lifecycle-stage", "soda.dataset.not-found",
    "soda.row.column-not-found", "soda.row.dataset-version-mismatch",
    "soda.row.delete-without-primary-key", "soda.row.not-found",
    "soda.row.primary-key-nonexistent-or-null", "soda.row.upsert-row-not-an-object",
])  # fmt: skip
"""
Error codes of Socrata: dev.socrata.com, "Response codes"; the words that soda-fountain's `responses.scala` and the
SoQL analyzer answer with; and those of the Publishing API.
"""

OPENDATASOFT = frozenset([
    "DatasetNotFoundException", "ForbiddenAccess", "InvalidDatasetStatusPreconditionException",
    "InvalidExportFormat", "InvalidQueryException", "InvalidRESTParameterError", "NotFoundResource",
    "ODSQLError", "ODSQLSyntaxError", "UnavailableTemporarily", "api_calls_quota", "internal_error",
    "invalid_dataset_status", "method_not_allowed", "not_authenticated", "not_found", "parse_error",
    "permission_denied", "throttled", "validation_error", "10002",
])  # fmt: skip
"""Error codes of Opendatasoft: the descriptions of the Explore API v2.1, the Automation API v1.0 and the quotas."""

STATUSES = frozenset([
    "aborting_processing", "deleting", "error", "idle", "limit_reached", "processing", "publishing",
    "queued", "saving_version", "unpublishing",
])  # fmt: skip
"""What an Opendatasoft dataset says that it is doing (Automation API v1.0, "Retrieve dataset status")."""

KINDS = frozenset([
    "application/geo+json", "application/gzip", "application/json", "application/octet-stream",
    "application/pdf", "application/problem+json", "application/rdf+xml", "application/vnd.geo+json",
    "application/xhtml+xml", "application/xml", "application/zip", "image/gif", "image/jpeg", "image/png",
    "image/svg+xml", "text/css", "text/csv", "text/html", "text/javascript", "text/plain", "text/xml",
])  # fmt: skip
"""Content types that a message may name (IANA, "Media types")."""


def kind(told: str) -> str:
    """The content type `told` without its parameters, where it is one that a message may name; else empty."""
    plain = told.partition(";")[0].strip().lower()
    return plain if plain in KINDS else ""
