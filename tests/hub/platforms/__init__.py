"""The senders: pure parts by table, the transport and the whole way over real sockets."""
