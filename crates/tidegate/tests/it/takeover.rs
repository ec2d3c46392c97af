//! One process takes another one's place.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::Method;
use rustix::process::Signal;
use serde_json::json;
use testkit::http::Http;
use testkit::within;
use tokio::net::{UnixDatagram, UnixStream};

use crate::program::{Folder, PROGRAM, Program, Up, call};

const UP: &[&str] = &["--listen", "127.0.0.1:0", "--takeover", "takeover.sock"];

/// Clients that call without a pause until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
    clients: Vec<tokio::task::JoinHandle<Result<(), String>>>,
}

impl Load {
    /// Some that make a connection for each call, and one that keeps its connection.
    fn start(address: SocketAddr) -> Self {
        let mut load = Self { stop: Arc::default(), calls: Arc::default(), clients: Vec::new() };
        for kept in [None, None, Some(Http::new(address))] {
            let (stop, calls) = (Arc::clone(&load.stop), Arc::clone(&load.calls));
            load.clients.push(tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let http = kept.clone().unwrap_or_else(|| Http::new(address));
                    let sent = call(&http, "/mcp", "demo_echo", json!({"text": "hi"})).try_send().await;
                    let reply = sent.map_err(|error| format!("{error:?}, kept: {}", kept.is_some()))?;
                    let (status, text) = (reply.status, reply.text().await);
                    if status != 200 || !text.contains(r#""text":"hi""#) {
                        return Err(format!("{status}: {text}"));
                    }
                    calls.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            }));
        }
        load
    }

    /// Waits for so many further calls.
    async fn goes_on(&self, calls: usize) {
        let wanted = self.calls.load(Ordering::Relaxed) + calls;
        let served = async {
            while self.calls.load(Ordering::Relaxed) < wanted {
                assert!(self.clients.iter().all(|client| !client.is_finished()), "a client failed");
                tokio::task::yield_now().await;
            }
        };
        within(served).await;
    }

    async fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            within(client).await.unwrap().expect("every call is answered");
        }
        self.calls.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_restarts_under_load_refuse_no_connection_and_cut_no_call() {
    let folder = Folder::new();
    let mut serves = folder.up(UP).await;
    let address = serves.address;
    let load = Load::start(address);
    let mut before = Vec::new();
    for round in 0..20 {
        load.goes_on(10).await;
        // One that begins at this process and ends while it drains.
        let slow = call(&Http::new(address), "/mcp", "demo_slow", json!({"seconds": 1, "steps": 2}));
        let mut slow = slow.send().await;
        within(slow.event()).await.expect("progress");
        let next = folder.up(UP).await;
        assert_eq!(next.address, address, "round {round}");
        before.push((std::mem::replace(&mut serves, next), slow));
    }
    for (mut gateway, mut slow) in before {
        let mut last = String::new();
        while let Some(event) = within(slow.event()).await {
            last = event.data;
        }
        assert!(last.contains("Done after 1 s"), "{last}");
        gateway.program.stderr.find("another process has taken over").await;
        assert_eq!(gateway.program.ended().await, 0);
    }
    load.goes_on(10).await;
    let calls = load.end().await;
    assert!(calls > 200, "{calls}");
    assert_eq!(serves.stop().await, 0);
    assert!(!folder.path("takeover.sock").exists());
}

#[tokio::test]
async fn an_heir_that_dies_before_it_serves_changes_nothing() {
    let folder = Folder::new();
    let mut up = folder.up(UP).await;
    let path = folder.path("takeover.sock");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    #[expect(clippy::disallowed_methods, reason = "an heir made by hand")]
    let heir = UnixStream::connect(&path).await.unwrap();
    up.program.stderr.find("another process is about to take over").await;
    drop(heir);
    let said = up.program.stderr.find("nobody took over").await;
    assert!(said.contains("it ended before it served"), "{said}");
    // One that gets the socket and then cannot start.
    folder.write("bad.yaml", "tls: {cert: gone.pem, key: gone.pem}\n");
    let failed = folder.run(&[&["up", "--config", "bad.yaml"], UP].concat()).await;
    assert_eq!(failed.code, 3, "{failed:?}");
    up.program.stderr.find("nobody took over").await;
    assert!(up.tools("/mcp").await.contains(&"demo_echo".to_owned()));
    let ready = up.http.request(Method::GET, "/readyz").send().await;
    assert_eq!(ready.status, 200);
    assert_eq!(up.stop().await, 0);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_path_that_nobody_serves_is_taken_and_another_file_is_not() {
    let folder = Folder::new();
    drop(std::os::unix::net::UnixListener::bind(folder.path("takeover.sock")).unwrap());
    let mut up = folder.up(UP).await;
    assert_eq!(up.stop().await, 0);
    folder.write("takeover.sock", "a file");
    let said = folder.run(&[&["up"], UP].concat()).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("takeover.sock"), "{said:?}");
    assert_eq!(folder.read("takeover.sock"), "a file");
}

/// The program as the service manager starts it, with a listening socket as descriptor 3.
fn activated(folder: &Folder, socket: &std::net::TcpListener) -> Program {
    let script = r#"exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" up --config /dev/null"#;
    #[expect(clippy::disallowed_methods, reason = "the program under test, behind a shell")]
    let mut command = tokio::process::Command::new("sh");
    command.args(["-c", script, PROGRAM]).current_dir(folder.path("")).kill_on_drop(true);
    command.env("XDG_STATE_HOME", folder.path(""));
    Program::start_with(command, OwnedFd::from(socket.try_clone().unwrap()))
}

#[tokio::test]
async fn a_socket_of_the_service_manager_is_served_and_outlives_the_process() {
    let folder = Folder::new();
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let mut first = Up::started(activated(&folder, &socket)).await;
    assert_eq!(first.address, address);
    assert!(first.tools("/mcp").await.contains(&"demo_echo".to_owned()));
    assert_eq!(first.stop().await, 0);
    // Between two processes a connection waits.
    let http = Http::new(address);
    let early = tokio::spawn(async move { http.request(Method::GET, "/healthz").send().await.status });
    let mut second = Up::started(activated(&folder, &socket)).await;
    assert_eq!(within(early).await.unwrap(), 200);
    assert_eq!(second.stop().await, 0);
}

#[tokio::test]
async fn the_service_manager_is_told_what_the_process_does() {
    let folder = Folder::new();
    let told = UnixDatagram::bind(folder.path("notify.sock")).unwrap();
    let next = async || {
        let mut message = [0; 512];
        let size = within(told.recv(&mut message)).await.unwrap();
        String::from_utf8(message[..size].to_vec()).unwrap()
    };
    let started = |folder: &Folder| {
        let mut command = folder.command(&[&["up"], UP].concat());
        command.env("NOTIFY_SOCKET", folder.path("notify.sock"));
        Program::start(command)
    };
    let mut first = Up::started(started(&folder)).await;
    let of_first = next().await;
    assert!(of_first.starts_with("READY=1\nMAINPID="), "{of_first}");
    first.program.signal(Signal::HUP);
    let reloading = next().await;
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(next().await, of_first);
    let mut second = Up::started(started(&folder)).await;
    let of_second = next().await;
    assert!(of_second.starts_with("READY=1\nMAINPID=") && of_second != of_first, "{of_second}");
    // The one that left is no longer the service, so its end is not the service's.
    assert_eq!(first.program.ended().await, 0);
    second.program.signal(Signal::TERM);
    assert!(next().await.starts_with("STOPPING=1"));
    assert_eq!(second.program.ended().await, 0);
}
