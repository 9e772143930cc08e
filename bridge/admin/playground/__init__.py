"""The playground of the console: `process.py` runs what people type in processes of their own, which get neither secrets
nor the store; `audiences.py` says of the live registry whom it would reach."""
