"""The reference pages of the site, written from the code: the recipe, the command, the HTTP interface, the Python API."""
