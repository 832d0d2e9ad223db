"""The reference pages of the site, each written from the code that it describes."""
