"""What `check` knows of rules that cannot do what their author meant."""
