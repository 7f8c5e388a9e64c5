"""The entry point of the command line."""

import os

# gRPC's core writes to standard error what it thinks of its peers, in its own format, and the bytes
# that they sent. It reads this once, when grpc is first imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from attachment_gateway.cli import main

if __name__ == "__main__":
    main()
