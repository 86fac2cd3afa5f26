"""An app of models whose histories other packages keep; installed for its own tests only."""
