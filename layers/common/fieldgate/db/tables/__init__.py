"""The schema as SQLAlchemy Core tables, one module a domain, all on one `METADATA`.

It mirrors what the migrations make (a test compares them); triggers are in the migrations only.
Ids are version 7 uuids made by the server, so they sort by the time they were made; times are UTC.
A function imports the modules of the tables that it uses: all of them are 10 ms of a cold start.
"""
