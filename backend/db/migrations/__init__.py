"""The schema's history; see ``backend.db.migrate``."""
