"""What one writes in Python for `kin fetch -j N -f FILE`: aiohttp, a TaskGroup and
a Semaphore.

    fetch.py N FILE [CA]
"""
import asyncio
import ssl
import sys

import aiohttp


async def fetch(session, limit, url):
    async with limit, session.get(url) as response:
        response.raise_for_status()
        return await response.read()


async def main(jobs, path, ca=None):
    with open(path) as lines:
        urls = lines.read().split()
    limit = asyncio.Semaphore(jobs)
    trusted = {"ssl": ssl.create_default_context(cafile=ca)} if ca else {}
    connector = aiohttp.TCPConnector(limit=jobs, **trusted)
    async with aiohttp.ClientSession(connector=connector) as session:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(fetch(session, limit, url)) for url in urls]
    for task in tasks:
        sys.stdout.buffer.write(task.result())


asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
