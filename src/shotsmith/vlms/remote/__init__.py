"""VLMs that run elsewhere: behind a server, or on a Ray cluster."""
