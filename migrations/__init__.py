"""The history of the schema. `fieldgate.db.migrate` finds it by this package's place."""
