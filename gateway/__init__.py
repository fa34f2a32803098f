"""How people reach Clepsydra: the HTTP API, the dashboard and the command line."""
