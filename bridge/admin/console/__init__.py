"""The web console: a page of the way of each event, with phones where there are any, and one of dead letters; read
`routes.py` first."""
