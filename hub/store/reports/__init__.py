"""What phones say of their pushes; read `reports.py` first."""
