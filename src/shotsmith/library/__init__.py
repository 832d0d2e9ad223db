"""A trained or training-free selector as an application uses it: load it, index a bank, select for new queries."""
