"""HTTP/1.1 that can stand in the open: server, pooled client, server-sent events, TLS, unix sockets. Knows nothing of AI."""
