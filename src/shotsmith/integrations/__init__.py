"""Selectors inside other libraries, one module for each; a library is imported only by its own module."""
