"""Template language, bodies of templates and their rendering: read `templates` first."""
