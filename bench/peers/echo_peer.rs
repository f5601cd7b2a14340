//! tokio's side of the network bench, on a runtime of one thread.
//!
//!     peer echo
//!     peer short PORT COUNT
use std::env;
use std::io::Result;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

const MESSAGE: usize = 64;
const BUFFER: usize = 4096;
const AT_ONCE: usize = 50;
const LIMIT: Duration = Duration::from_secs(5);

fn processor_time() -> i64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let rc = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut now) };
    assert!(rc == 0);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

async fn converse(mut connection: TcpStream) -> Result<()> {
    let mut buffer = [0; BUFFER];
    loop {
        let n = connection.read(&mut buffer).await?;
        if n == 0 {
            return Ok(());
        }
        connection.write_all(&buffer[..n]).await?;
    }
}

async fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("port {}", listener.local_addr()?.port());
    loop {
        let (connection, _) = listener.accept().await?;
        connection.set_nodelay(true)?;
        tokio::spawn(converse(connection));
    }
}

async fn request(port: u16) -> Result<()> {
    let mut message = [0; MESSAGE];
    let mut answer = [0; MESSAGE];
    message[..18].copy_from_slice(b"a short connection");
    let mut connection = TcpStream::connect(("127.0.0.1", port)).await?;
    connection.set_nodelay(true)?;
    connection.write_all(&message).await?;
    connection.read_exact(&mut answer).await?;
    assert!(message == answer);
    Ok(())
}

async fn request_all(port: u16, count: usize) {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut set = JoinSet::new();
    for _ in 0..count {
        let slot = slots.clone().acquire_owned().await.expect("open");
        set.spawn(async move {
            timeout(LIMIT, request(port)).await.expect("limit").expect("request");
            drop(slot);
        });
    }
    while let Some(outcome) = set.join_next().await {
        outcome.expect("request");
    }
}

fn main() -> Result<()> {
    let args: Vec<String> = env::args().collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if args[1] == "echo" {
        return runtime.block_on(serve());
    }
    let count: usize = args[3].parse().expect("count");
    let port = args[2].parse().expect("port");
    let began = processor_time();
    runtime.block_on(request_all(port, count));
    println!("short_ns {:.1}", (processor_time() - began) as f64 / count as f64);
    Ok(())
}
