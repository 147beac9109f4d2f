"""Every address of Opendatasoft's interfaces that the embedded portal answers."""

from __future__ import annotations

from . import (
    ods_automation,
    ods_catalogue,
    ods_configuration,
    ods_downloads,
    ods_explore,
    ods_management,
    ods_push,
    ods_resources,
    ods_security,
    ods_versions,
)

ROUTES = (
    *ods_push.ROUTES,
    *ods_automation.ROUTES,
    *ods_configuration.ROUTES,
    *ods_resources.ROUTES,
    *ods_security.ROUTES,
    *ods_versions.ROUTES,
    *ods_catalogue.ROUTES,
    *ods_explore.ROUTES,
    *ods_downloads.ROUTES,
    *ods_management.ROUTES,
)
