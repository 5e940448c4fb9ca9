"""The database: where it is (`url`), how it is spoken to (`engine`), what is in it (`tables`)."""
