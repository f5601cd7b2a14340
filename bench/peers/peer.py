"""The same work on asyncio: a TaskGroup, its queues, its semaphore and its timeout.

    peer.py [--uvloop] WORK SIZE [OF]
"""
import asyncio
import socket
import sys
import time

GROUP = 1000
CHILDREN = 10
BELT = 128
UNITS = 5


def print_ns(name, began, operations):
    print(f"{name} {(time.process_time() - began) * 1e9 / operations:.4f}")


async def yielder(rounds):
    for _ in range(rounds):
        await asyncio.sleep(0)


def peak_kib():
    with open("/proc/self/status") as status:
        return sum(int(line.split()[1]) for line in status if line.startswith(("VmHWM:", "VmPTE:")))


async def together(tasks):
    async with asyncio.TaskGroup() as group:
        for task in tasks:
            group.create_task(task, name="together")


async def measure_yield(rounds, of):
    tasks = of or 2
    began = time.process_time()
    await together(yielder(rounds) for _ in range(tasks))
    print_ns("yield", began, rounds * tasks)


async def leaf():
    return 1


async def measure_spawn(groups, _):
    ran = 0
    began = time.process_time()
    for _ in range(groups):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(leaf(), name="leaf") for _ in range(GROUP)]
        ran += sum(task.result() for task in tasks)
    print_ns("spawn", began, groups * GROUP)
    assert ran == groups * GROUP


async def measure_half(groups, _):
    began = time.process_time()
    for _ in range(groups):
        await together(yielder(i % 2) for i in range(GROUP))
    print_ns("half", began, groups * GROUP)


async def measure_blocked(groups, _):
    async def wait():
        nonlocal waiting
        waiting += 1
        await event.wait()

    began = time.process_time()
    for _ in range(groups):
        event, waiting = asyncio.Event(), 0
        async with asyncio.TaskGroup() as group:
            for _ in range(GROUP):
                group.create_task(wait(), name="leaf")
            while waiting < GROUP:
                await asyncio.sleep(0)
            event.set()
    print_ns("blocked", began, groups * GROUP)


async def node(first, leaves):
    if leaves == 1:
        return first
    step = leaves // CHILDREN
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(node(first + i * step, step), name="node")
                 for i in range(CHILDREN)]
    return sum(task.result() for task in tasks)


async def measure_tree(depth, _):
    leaves = CHILDREN ** depth
    began = time.process_time()
    total = await node(0, leaves)
    print_ns("tree", began, leaves)
    print(f"tree_mib {peak_kib() / 1024:.4f}")
    assert total == leaves * (leaves - 1) // 2


async def measure_pingpong(rounds, _):
    there, back = asyncio.Queue(1), asyncio.Queue(1)

    async def ping():
        for i in range(rounds):
            await there.put(i)
            assert await back.get() == i

    async def pong():
        for _ in range(rounds):
            await back.put(await there.get())

    began = time.process_time()
    await together([ping(), pong()])
    print_ns("pingpong", began, 2 * rounds)


async def measure_queue(rounds, _):
    belt = asyncio.Queue(BELT)

    async def produce():
        for i in range(rounds):
            await belt.put(i)

    async def consume():
        for i in range(rounds):
            assert await belt.get() == i

    began = time.process_time()
    await together([produce(), consume()])
    print_ns("queue", began, rounds)


async def measure_timeout(rounds, others):
    there, back = asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def limited():
        for _ in range(rounds):
            there.release()
            async with asyncio.timeout(1):
                await back.acquire()

    async def waker():
        for _ in range(rounds):
            await there.acquire()
            back.release()

    sleeping = [asyncio.create_task(asyncio.sleep(100 + i % 1000)) for i in range(others)]
    await asyncio.sleep(0)
    began = time.process_time()
    await together([limited(), waker()])
    print_ns("timeout", began, rounds)
    for task in sleeping:
        task.cancel()


async def measure_semaphore(rounds, _):
    units = asyncio.Semaphore(UNITS)

    async def worker():
        for _ in range(rounds):
            async with units:
                await asyncio.sleep(0)

    began = time.process_time()
    await together(worker() for _ in range(GROUP))
    print_ns("semaphore", began, rounds * GROUP)


async def measure_sleepers(tasks, _):
    began, start = time.process_time(), time.monotonic()
    await together(asyncio.sleep((1 + i % 1000) / 1000) for i in range(tasks))
    print_ns("sleepers", began, tasks)
    print(f"sleepers_s {time.monotonic() - start:.4f}")
    print(f"sleepers_peak_kib {peak_kib() / tasks:.4f}")


class Waiting:
    """A group whose tasks all wait, until they are cancelled."""

    def __init__(self):
        self.arrived = self.cancelled = 0

    async def task(self, wait):
        self.arrived += 1
        try:
            await wait
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def measure(self, waits):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.task(wait), name="waiting") for wait in waits]
            while self.arrived < len(tasks):
                await asyncio.sleep(0)
            began = time.process_time()
            for task in tasks:
                task.cancel()
            returned = time.process_time()
        print_ns("joined", began, len(tasks))
        print(f"call {(returned - began) * 1e9 / len(tasks):.4f}")
        assert self.cancelled == len(tasks)


async def measure_cancel(tasks, _):
    event = asyncio.Event()
    await Waiting().measure([asyncio.sleep(3600) if i % 2 else event.wait() for i in range(tasks)])


def connections(count):
    """Nobody has accepted them: as in cancel.c they wait in their listeners."""
    queue, listeners, ends = 1000, [], []
    for i in range(count):
        if i % queue == 0:
            listeners.append(socket.create_server(("127.0.0.1", 0), backlog=queue))
        ends.append(socket.create_connection(listeners[-1].getsockname()))
        ends[-1].setblocking(False)
    return listeners, ends


async def measure_receive(tasks, _):
    loop = asyncio.get_running_loop()
    listeners, ends = connections(tasks)
    await Waiting().measure([loop.sock_recv(end, 1) for end in ends])
    for end in listeners + ends:
        end.close()


def main():
    words = sys.argv[1:]
    if words[0] == "--uvloop":
        import uvloop
        uvloop.install()
        words.pop(0)
    work, size, of = words[0], int(words[1]), int(words[2]) if words[2:] else 0
    asyncio.run(globals()[f"measure_{work}"](size, of))


main()
