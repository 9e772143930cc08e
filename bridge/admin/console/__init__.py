"""The web console: one page that shows the way of each event, and phones where there are any; read `routes.py` first."""
