//! What an orchestrator hears that runs `tidegate health`.

use std::net::SocketAddr;

use rustix::process::Signal;
use tokio::net::TcpListener;

use crate::program::Folder;
use crate::secure::certified_for;

/// A configuration that says where a gateway listens that runs already.
fn configured(folder: &Folder, address: SocketAddr, rest: &str) {
    folder.write("probe.yaml", &format!("listen: '{address}'\nauth: {{allow: [anonymous]}}\n{rest}"));
}

const BY_CONFIG: [&str; 3] = ["health", "--config", "probe.yaml"];

#[tokio::test]
async fn a_gateway_that_takes_work_is_healthy_until_it_is_told_to_stop() {
    let folder = Folder::with("drain_delay: 60s\nhosts: [mcp.example.com]");
    let mut up = folder.up(&[]).await;
    let url = format!("http://{}", up.address);
    assert_eq!(folder.run(&["health", "--url", &url]).await.good(), "ready\n");
    configured(&folder, up.address, "");
    assert_eq!(folder.run(&BY_CONFIG).await.good(), "ready\n");
    configured(&folder, SocketAddr::from(([0, 0, 0, 0], up.address.port())), "");
    assert_eq!(folder.run(&BY_CONFIG).await.good(), "ready\n", "from its own machine");

    up.program.signal(Signal::TERM);
    up.program.stderr.find("stopping").await;
    let said = folder.run(&BY_CONFIG).await.bad(1);
    let why = format!(
        "tidegate: failed to find {url}/readyz ready: 503: draining: this process was told to stop\n"
    );
    assert_eq!(said, why);
    // It is no longer ready, and is alive.
    let live = format!("{url}/healthz");
    assert_eq!(folder.run(&["health", "--url", &live]).await.good(), "ready\n");
    up.program.signal(Signal::TERM);
    assert_eq!(up.program.ended().await, 1);
    let said = folder.run(&BY_CONFIG).await.bad(1);
    assert!(said.starts_with(&format!("tidegate: failed to find {url}/readyz ready: ")), "{said}");
}

#[tokio::test]
async fn a_gateway_with_tls_is_asked_whatever_name_its_certificate_is_for() {
    let (folder, _) = certified_for("mcp.example.com");
    let tls = "tls: {cert: cert.pem, key: key.pem}\nhosts: [mcp.example.com]";
    folder.configure(tls);
    let mut up = folder.up(&[]).await;
    configured(&folder, up.address, tls);
    assert_eq!(folder.run(&BY_CONFIG).await.good(), "ready\n");
    let plain = format!("http://{}", up.address);
    folder.run(&["health", "--url", &plain]).await.bad(1);
    assert_eq!(up.stop().await, 0);
}

#[tokio::test]
async fn who_does_not_answer_in_time_or_answers_something_else_is_not_healthy() {
    let folder = Folder::new();
    // Connections are made by the kernel, and nobody takes them.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let said = folder.run(&["health", "--url", &url]).await.bad(1);
    assert!(said.starts_with(&format!("tidegate: failed to find {url}/readyz ready: ")), "{said}");

    let up = folder.up(&["--listen", "127.0.0.1:0"]).await;
    let url = format!("http://{}/nothing", up.address);
    let said = folder.run(&["health", "--url", &url]).await.bad(1);
    assert!(said.starts_with(&format!("tidegate: failed to find {url} ready: 404: ")), "{said}");
}

#[tokio::test]
async fn what_cannot_be_asked_is_not_healthy_and_what_makes_no_sense_is_a_mistake() {
    let folder = Folder::with("listen: 127.0.0.1:0");
    let said = folder.run(&["health"]).await.bad(1);
    assert!(said.contains("`listen` takes any port; give --url"), "{said}");
    folder.configure("listen: 127.0.0.1:0\nnonsense: 1");
    let said = folder.run(&["health"]).await.bad(1);
    assert!(said.contains("tidegate.yaml:2:1: nonsense"), "{said}");
    folder.run(&["health", "--config", "missing.yaml"]).await.bad(1);
    folder.run(&["health", "--url", "127.0.0.1:7400"]).await.bad(2);
}
