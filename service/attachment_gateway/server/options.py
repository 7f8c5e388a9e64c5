"""The options of the gRPC server."""

from attachment_gateway.settings import Settings

# All of a call's metadata together, and so the limit of a token. Entra's have some thousand
# characters, and a gRPC server takes 8 KiB by default.
MAX_METADATA_BYTES = 32 * 1024

# A connection is pinged after this time, and ended if the ping isn't answered in time. A caller may
# ping as often as the third says.
PING_EVERY_S = 60
PING_ANSWERED_WITHIN_S = 20
PINGED_AT_MOST_EVERY_S = 10


def server_options(settings: Settings, *, share_port: bool) -> list[tuple[str, int]]:
    """Return the options, by the names that gRPC's core gives them."""
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_metadata_size", MAX_METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", MAX_METADATA_BYTES),
        ("grpc.keepalive_time_ms", PING_EVERY_S * 1000),
        ("grpc.keepalive_timeout_ms", PING_ANSWERED_WITHIN_S * 1000),
        ("grpc.http2.min_ping_interval_without_data_ms", PINGED_AT_MOST_EVERY_S * 1000),
        # Otherwise gRPC widens the windows by itself, and streams that wait for memory fill it.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", settings.stream_window_bytes),
        # By default a second gateway on the same port would silently share its calls.
        ("grpc.so_reuseport", int(share_port)),
        *_age(settings.connection_age_s),
    ]


def _age(connection_age_s: float) -> list[tuple[str, int]]:
    """Return the option that ends a connection of that age; the calls on it go on to their ends."""
    return (
        [("grpc.max_connection_age_ms", round(connection_age_s * 1000))] if connection_age_s else []
    )
