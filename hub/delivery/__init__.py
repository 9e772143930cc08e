"""From taken work to recorded results: read `dispatch` first."""
