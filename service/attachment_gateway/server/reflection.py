"""The services for health checks and reflection."""

from importlib.resources import files

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from attachment_gateway.server.operator_calls import AdmittingServer
from graphattachments.v1 import attachment_service_pb2

SERVICE = attachment_service_pb2.DESCRIPTOR.services_by_name["AttachmentService"].full_name

# The contract and Google's error details. Unlike the generated code it has the JSON names.
DESCRIPTORS = files("graphattachments.v1") / "graphattachments.protoset"


async def add_health(server: AdmittingServer) -> health.aio.HealthServicer:
    """Add grpc.health.v1, with the server and the service as SERVING."""
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)  # type: ignore[arg-type]  # it has the methods that are called
    for name in (health.OVERALL_HEALTH, SERVICE):
        await servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    return servicer


def add_reflection(server: AdmittingServer) -> None:
    """Add reflection, so that clients need no proto files."""
    names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(  # type: ignore[no-untyped-call]
        reflection.aio.ReflectionServicer(names, pool=_reflected()), server
    )


def _reflected() -> DescriptorPool:
    """Return the descriptors for reflection; a field's JSON name in them is its name in Graph."""
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()).file:
        pool.Add(file)
    for module in (health_pb2, reflection_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    return pool
