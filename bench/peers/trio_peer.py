"""The same work on Trio: nurseries, memory channels, its semaphore and its limits.

    trio_peer.py WORK SIZE [OF]
"""
import sys
import time

import trio

GROUP = 1000
CHILDREN = 10
BELT = 128
UNITS = 5


def print_ns(name, began, operations):
    print(f"{name} {(time.process_time() - began) * 1e9 / operations:.4f}")


def peak_kib():
    with open("/proc/self/status") as status:
        return sum(int(line.split()[1]) for line in status if line.startswith(("VmHWM:", "VmPTE:")))


async def together(task, arguments):
    async with trio.open_nursery() as nursery:
        for argument in arguments:
            nursery.start_soon(task, argument, name="together")


async def yielder(rounds):
    for _ in range(rounds):
        await trio.sleep(0)


async def measure_yield(rounds, of):
    tasks = of or 2
    began = time.process_time()
    await together(yielder, [rounds] * tasks)
    print_ns("yield", began, rounds * tasks)


async def measure_spawn(groups, _):
    async def leaf(_):
        nonlocal ran
        ran += 1

    ran = 0
    began = time.process_time()
    for _ in range(groups):
        await together(leaf, range(GROUP))
    print_ns("spawn", began, groups * GROUP)
    assert ran == groups * GROUP


async def measure_half(groups, _):
    began = time.process_time()
    for _ in range(groups):
        await together(yielder, (i % 2 for i in range(GROUP)))
    print_ns("half", began, groups * GROUP)


async def measure_blocked(groups, _):
    async def wait():
        nonlocal waiting
        waiting += 1
        await event.wait()

    began = time.process_time()
    for _ in range(groups):
        event, waiting = trio.Event(), 0
        async with trio.open_nursery() as nursery:
            for _ in range(GROUP):
                nursery.start_soon(wait, name="leaf")
            while waiting < GROUP:
                await trio.sleep(0)
            event.set()
    print_ns("blocked", began, groups * GROUP)


async def node(first, leaves, sums):
    if leaves == 1:
        sums.append(first)
        return
    step, mine = leaves // CHILDREN, []
    async with trio.open_nursery() as nursery:
        for i in range(CHILDREN):
            nursery.start_soon(node, first + i * step, step, mine, name="node")
    sums.append(sum(mine))


async def measure_tree(depth, _):
    leaves, sums = CHILDREN ** depth, []
    began = time.process_time()
    await node(0, leaves, sums)
    print_ns("tree", began, leaves)
    print(f"tree_mib {peak_kib() / 1024:.4f}")
    assert sum(sums) == leaves * (leaves - 1) // 2


async def measure_pingpong(rounds, _):
    there, from_there = trio.open_memory_channel(1)
    back, from_back = trio.open_memory_channel(1)

    async def side(number):
        for i in range(rounds):
            if number == 0:
                await there.send(i)
                assert await from_back.receive() == i
            else:
                await back.send(await from_there.receive())

    began = time.process_time()
    await together(side, range(2))
    print_ns("pingpong", began, 2 * rounds)


async def measure_queue(rounds, _):
    belt, from_belt = trio.open_memory_channel(BELT)

    async def side(number):
        for i in range(rounds):
            if number == 0:
                await belt.send(i)
            else:
                assert await from_belt.receive() == i

    began = time.process_time()
    await together(side, range(2))
    print_ns("queue", began, rounds)


async def measure_timeout(rounds, others):
    there, back = trio.Semaphore(0), trio.Semaphore(0)

    async def side(number):
        for _ in range(rounds):
            if number == 0:
                there.release()
                with trio.fail_after(1):
                    await back.acquire()
            else:
                await there.acquire()
                back.release()

    async with trio.open_nursery() as nursery:
        for i in range(others):
            nursery.start_soon(trio.sleep, 100 + i % 1000)
        await trio.sleep(0)
        began = time.process_time()
        await together(side, range(2))
        print_ns("timeout", began, rounds)
        nursery.cancel_scope.cancel()


async def measure_semaphore(rounds, _):
    units = trio.Semaphore(UNITS)

    async def worker(_):
        for _ in range(rounds):
            async with units:
                await trio.sleep(0)

    began = time.process_time()
    await together(worker, range(GROUP))
    print_ns("semaphore", began, rounds * GROUP)


async def measure_cancel(tasks, _):
    async def blocked(i):
        nonlocal arrived, cancelled
        arrived += 1
        try:
            await (trio.sleep(3600) if i % 2 else event.wait())
        except trio.Cancelled:
            cancelled += 1
            raise

    event, arrived, cancelled = trio.Event(), 0, 0
    async with trio.open_nursery() as nursery:
        for i in range(tasks):
            nursery.start_soon(blocked, i, name="blocked")
        while arrived < tasks:
            await trio.sleep(0)
        began = time.process_time()
        nursery.cancel_scope.cancel()
        returned = time.process_time()
    print_ns("joined", began, tasks)
    print(f"call {(returned - began) * 1e9 / tasks:.4f}")
    assert cancelled == tasks


async def measure_sleepers(tasks, _):
    began, start = time.process_time(), time.monotonic()
    await together(trio.sleep, ((1 + i % 1000) / 1000 for i in range(tasks)))
    print_ns("sleepers", began, tasks)
    print(f"sleepers_s {time.monotonic() - start:.4f}")
    print(f"sleepers_peak_kib {peak_kib() / tasks:.4f}")


def main():
    work, size, of = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if sys.argv[3:] else 0
    trio.run(globals()[f"measure_{work}"], size, of)


main()
