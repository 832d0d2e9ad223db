"""Watch runs while they run, and explore them: a local page and the server behind it (`shotsmith[serve]`)."""
