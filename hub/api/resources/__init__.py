"""Resources of the hub API, a file each."""
