//! The same work as cancel.c on tokio: a JoinSet on a runtime of one thread.
//!
//!     peer cancel|receive SIZE
use std::cell::Cell;
use std::future::Future;
use std::process::exit;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{yield_now, JoinSet};

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

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let size = words.get(2).and_then(|size| size.parse().ok()).unwrap_or(0);
    require(size > 0, "size");
    match words[1].as_str() {
        "cancel" => runtime.block_on(cancel(size)),
        "receive" => runtime.block_on(receive(size)),
        _ => require(false, "what?"),
    }
}
