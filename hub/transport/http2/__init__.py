"""HTTP/2 for pushes (RFC 9113): many small POSTs on one connection, most of them answered by a bare 200."""
