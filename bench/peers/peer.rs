//! The same work on tokio: a JoinSet on a runtime of one thread, its channels, its semaphore
//! and its timeout.
//!
//!     peer WORK SIZE [OF]
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::process::exit;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, Notify, Semaphore};
use tokio::task::{yield_now, JoinSet};

const GROUP: usize = 1000;
const CHILDREN: i64 = 10;
const BELT: usize = 128;
const UNITS: usize = 5;

thread_local! {
    static ARRIVED: Cell<usize> = Cell::new(0);
}

/// What the process has used so far, in nanoseconds: as bench.h has it.
fn processor_time() -> i64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let rc = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut now) };
    require(rc == 0, "time");
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

fn require(done: bool, what: &str) {
    if !done {
        eprintln!("not measured: {what}");
        exit(1);
    }
}

fn print_ns(name: &str, took: i64, operations: usize) {
    println!("{name} {:.4}", took as f64 / operations as f64);
}

/// The sum of VmHWM and VmPTE of /proc/self/status.
fn peak_kib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let fields = status.lines().filter(|l| l.starts_with("VmHWM:") || l.starts_with("VmPTE:"));
    fields.map(|l| l.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap()).sum()
}

/// Runs so many tasks, and waits for them.
async fn together<T>(tasks: usize, task: impl Fn(usize) -> T)
where
    T: Future<Output = ()> + Send + 'static,
{
    let mut set = JoinSet::new();
    for i in 0..tasks {
        set.spawn(task(i));
    }
    while let Some(outcome) = set.join_next().await {
        require(outcome.is_ok(), "a task");
    }
}

async fn pair<A, B>(name: &str, operations: usize, one: A, other: B)
where
    A: Future<Output = ()> + Send + 'static,
    B: Future<Output = ()> + Send + 'static,
{
    let mut set = JoinSet::new();
    let began = processor_time();
    set.spawn(one);
    set.spawn(other);
    while let Some(outcome) = set.join_next().await {
        require(outcome.is_ok(), "a task");
    }
    print_ns(name, processor_time() - began, operations);
}

// ---------------------------------------------------------------- yield, spawn, tree

async fn all_yield(rounds: usize, of: usize) {
    let tasks = if of == 0 { 2 } else { of };
    let began = processor_time();
    together(tasks, |_| async move {
        for _ in 0..rounds {
            yield_now().await;
        }
    })
    .await;
    print_ns("yield", processor_time() - began, rounds * tasks);
}

async fn spawn(groups: usize) {
    let began = processor_time();
    for _ in 0..groups {
        together(GROUP, |_| async {}).await;
    }
    print_ns("spawn", processor_time() - began, groups * GROUP);
}

async fn half(groups: usize) {
    let began = processor_time();
    for _ in 0..groups {
        together(GROUP, |i| async move {
            if i % 2 == 1 {
                yield_now().await;
            }
        })
        .await;
    }
    print_ns("half", processor_time() - began, groups * GROUP);
}

async fn blocked_group(event: &'static Notify) {
    let mut set = JoinSet::new();
    ARRIVED.with(|arrived| arrived.set(0));
    for _ in 0..GROUP {
        set.spawn(async move {
            arrive();
            event.notified().await;
        });
    }
    all_wait(GROUP).await;
    event.notify_waiters();
    while let Some(outcome) = set.join_next().await {
        require(outcome.is_ok(), "a task");
    }
}

async fn blocked(groups: usize) {
    let event: &'static Notify = Box::leak(Box::new(Notify::new()));
    blocked_group(event).await;
    let began = processor_time();
    for _ in 0..groups {
        blocked_group(event).await;
    }
    print_ns("blocked", processor_time() - began, groups * GROUP);
}

fn node(first: i64, leaves: i64) -> Pin<Box<dyn Future<Output = i64> + Send>> {
    Box::pin(async move {
        if leaves == 1 {
            return first;
        }
        let (mut set, mut sum) = (JoinSet::new(), 0);
        for i in 0..CHILDREN {
            set.spawn(node(first + i * leaves / CHILDREN, leaves / CHILDREN));
        }
        while let Some(outcome) = set.join_next().await {
            sum += outcome.unwrap();
        }
        sum
    })
}

async fn tree(depth: usize) {
    let leaves = CHILDREN.pow(depth as u32);
    let began = processor_time();
    let sum = node(0, leaves).await;
    print_ns("tree", processor_time() - began, leaves as usize);
    println!("tree_mib {:.4}", peak_kib() / 1024.0);
    require(sum == leaves * (leaves - 1) / 2, "sum");
}

// ------------------------------------------------------------------------- channels

async fn pingpong(rounds: usize) {
    let (there, mut from_there) = mpsc::channel(1);
    let (back, mut from_back) = mpsc::channel(1);
    let ping = async move {
        for i in 0..rounds {
            there.send(i).await.unwrap();
            require(from_back.recv().await == Some(i), "messages");
        }
    };
    let pong = async move {
        for _ in 0..rounds {
            back.send(from_there.recv().await.unwrap()).await.unwrap();
        }
    };
    pair("pingpong", 2 * rounds, ping, pong).await;
}

async fn queue(rounds: usize) {
    let (items, mut from_items) = mpsc::channel(BELT);
    let produce = async move {
        for i in 0..rounds {
            items.send(i).await.unwrap();
        }
    };
    let consume = async move {
        for i in 0..rounds {
            require(from_items.recv().await == Some(i), "items");
        }
    };
    pair("queue", rounds, produce, consume).await;
}

/// What select! does: it asks each in turn.
struct Select<'a>(&'a mut [mpsc::Receiver<usize>]);

impl Future for Select<'_> {
    type Output = (usize, usize);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        for (i, receiver) in self.0.iter_mut().enumerate() {
            if let Poll::Ready(Some(item)) = receiver.poll_recv(context) {
                return Poll::Ready((i, item));
            }
        }
        Poll::Pending
    }
}

async fn select(rounds: usize, channels: usize) {
    let ends = (0..channels).map(|_| mpsc::channel(1));
    let (senders, mut receivers): (Vec<_>, Vec<_>) = ends.unzip();
    let selector = async move {
        for _ in 0..rounds {
            let (index, item) = Select(&mut receivers).await;
            require(index == item % channels, "what was received");
        }
    };
    let sender = async move {
        for i in 0..rounds {
            senders[i % channels].send(i).await.unwrap();
        }
    };
    pair("select", rounds, selector, sender).await;
}

// --------------------------------------------------- limits, semaphore, sleepers

async fn timeout(rounds: usize, others: usize) {
    let there: &'static Notify = Box::leak(Box::new(Notify::new()));
    let back: &'static Notify = Box::leak(Box::new(Notify::new()));
    for i in 0..others {
        let span = Duration::from_secs(100 + i as u64 % 1000);
        tokio::spawn(tokio::time::sleep(span));
    }
    yield_now().await;
    let limited = async move {
        for _ in 0..rounds {
            there.notify_one();
            let outcome = tokio::time::timeout(Duration::from_secs(1), back.notified()).await;
            require(outcome.is_ok(), "in time");
        }
    };
    let waker = async move {
        for _ in 0..rounds {
            there.notified().await;
            back.notify_one();
        }
    };
    pair("timeout", rounds, limited, waker).await;
}

async fn semaphore(rounds: usize) {
    let units: &'static Semaphore = Box::leak(Box::new(Semaphore::new(UNITS)));
    let began = processor_time();
    together(GROUP, |_| async move {
        for _ in 0..rounds {
            let _unit = units.acquire().await.unwrap();
            yield_now().await;
        }
    })
    .await;
    print_ns("semaphore", processor_time() - began, rounds * GROUP);
}

async fn sleepers(tasks: usize) {
    let (began, start) = (processor_time(), Instant::now());
    together(tasks, |i| tokio::time::sleep(Duration::from_millis(1 + i as u64 % 1000))).await;
    print_ns("sleepers", processor_time() - began, tasks);
    println!("sleepers_s {:.4}", start.elapsed().as_secs_f64());
    println!("sleepers_peak_kib {:.4}", peak_kib() / tasks as f64);
}

// --------------------------------------------------------------------- cancelling

fn arrive() {
    ARRIVED.with(|arrived| arrived.set(arrived.get() + 1));
}

/// Whoever has arrived waits: both happen in one poll.
async fn all_wait(tasks: usize) {
    while ARRIVED.with(Cell::get) < tasks {
        yield_now().await;
    }
}

async fn cancel_all<W>(tasks: usize, wait: impl Fn(usize) -> W)
where
    W: Future<Output = ()> + Send + 'static,
{
    let mut set = JoinSet::new();
    let mut cancelled = 0;
    for i in 0..tasks {
        set.spawn(wait(i));
    }
    all_wait(tasks).await;
    let began = processor_time();
    set.abort_all();
    let returned = processor_time();
    while let Some(outcome) = set.join_next().await {
        cancelled += outcome.map_or_else(|error| error.is_cancelled() as usize, |_| 0);
    }
    let joined = processor_time();
    print_ns("call", returned - began, tasks);
    print_ns("joined", joined - began, tasks);
    require(cancelled == tasks, "cancelled");
}

async fn cancel(tasks: usize) {
    let never: &'static Notify = Box::leak(Box::new(Notify::new()));
    cancel_all(tasks, |i| async move {
        arrive();
        if i % 2 == 0 {
            never.notified().await;
        } else {
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
    })
    .await;
}

/// Nobody has accepted them: as in cancel.c they wait in their listeners. They are not
/// the tasks' own, since closing them is not measured.
async fn connections(count: usize) -> std::io::Result<Vec<Cell<Option<&'static mut TcpStream>>>> {
    const QUEUE: usize = 1000;
    let mut ends = Vec::new();
    while ends.len() < count {
        let listener = Box::leak(Box::new(TcpListener::bind("127.0.0.1:0").await?));
        for _ in 0..QUEUE.min(count - ends.len()) {
            let end = TcpStream::connect(listener.local_addr()?).await?;
            ends.push(Cell::new(Some(&mut *Box::leak(Box::new(end)))));
        }
    }
    Ok(ends)
}

async fn receive(tasks: usize) {
    let ends = connections(tasks).await.expect("sockets");
    cancel_all(tasks, |i| {
        let end = ends[i].take().unwrap();
        async move {
            arrive();
            let outcome = end.read(&mut [0u8]).await;
            require(false, &format!("a read has ended: {outcome:?}"));
        }
    })
    .await;
}

async fn work(name: &str, size: usize, of: usize) {
    match name {
        "yield" => all_yield(size, of).await,
        "spawn" => spawn(size).await,
        "half" => half(size).await,
        "blocked" => blocked(size).await,
        "tree" => tree(size).await,
        "pingpong" => pingpong(size).await,
        "queue" => queue(size).await,
        "select" => select(size, of).await,
        "timeout" => timeout(size, of).await,
        "semaphore" => semaphore(size).await,
        "sleepers" => sleepers(size).await,
        "cancel" => cancel(size).await,
        "receive" => receive(size).await,
        _ => require(false, "there is no such work here"),
    }
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let number = |n: usize| words.get(n).and_then(|word| word.parse().ok()).unwrap_or(0);
    require(number(2) > 0, "size");
    runtime.block_on(work(&words[1], number(2), number(3)));
    exit(0); // others may still sleep
}
