"""An HTTP/1.1 client, independent of Graph and of the gateway."""
