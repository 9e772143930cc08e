"""Which messages of a topic a subscription gets: rules of filters and actions; read `rule.py` first."""
