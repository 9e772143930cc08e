"""What the process serves to operators: read `server` first."""
