"""A made-up push service, as a new one is added: one folder, one line of registration (`__main__`)."""
