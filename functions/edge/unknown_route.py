"""The $default route: a 404 in the envelope, for every address that no other function has."""

from fieldgate.http import create_app, entry_point

app = create_app("unknown_route", limit=None, public=True)

handler = entry_point(app)
