"""A disk that takes no more: the daemon stays, says so, and goes on where it was when there is room again."""

import resource

from daemon import PATIENCE
from shop_config import web_config
from virtual import until

_ROOM = 64 * 1024  # bytes a file may have; the log stays below, the database is above


def limit_files(daemon, size):
    _, hard = resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (size, hard))


async def test_a_disk_that_refuses_is_shown_as_impairment_and_outlived(daemon, simulator, receiver):
    daemon.configure(web_config(simulator.url, pages=("card",), hooks={"on-call": receiver.hook()}))
    await daemon.start()
    await daemon.passes("card-web")

    async def readiness():
        return (await daemon.api.get("/readyz")).status_code

    async def not_ready():
        return await readiness() == 503

    async def ready():
        return await readiness() == 200

    limit_files(daemon, _ROOM)
    await until(not_ready, PATIENCE)
    await daemon.shows(1, "earwitness_monitor_impaired", component="store")
    assert (await daemon.api.get("/healthz")).status_code == 200
    simulator.faults.turn_on("card-processor-down")
    assert daemon.process.poll() is None

    limit_files(daemon, resource.RLIM_INFINITY)
    await until(ready, PATIENCE)
    await daemon.shows(0, "earwitness_monitor_impaired", component="store")
    incident = await daemon.incident("card-web", "open")
    await receiver.hears(incident["id"], "open")
    assert await daemon.stop() == 0
