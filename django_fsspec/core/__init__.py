"""Values and the sync/async driver that every layer shares; no settings, no filesystem."""
