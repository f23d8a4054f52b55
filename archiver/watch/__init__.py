"""How the archiver is watched: looks at the catalogue, metrics, and the endpoint that gives both."""
