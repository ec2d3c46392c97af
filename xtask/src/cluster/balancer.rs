//! nginx as a plain round-robin balancer: nothing sticky, nothing buffered.

use crate::Result;
use crate::bench::nginx;
use crate::run::{Running, bound};
use std::fmt::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long it may take to listen.
const START: Duration = Duration::from_secs(10);

/// How it balances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Keep connections on both sides. Without, each request has a connection of its own, and goes to the
    /// next replica.
    pub keep: bool,
    /// How long a replica may be silent until the client gets a 504.
    pub silence: Duration,
    /// One worker balances strictly in turn; more are faster, and each has a turn of its own.
    pub workers: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { keep: false, silence: Duration::from_secs(600), workers: 1 }
    }
}

/// A running nginx. It is stopped when this value goes.
#[derive(Debug)]
pub struct Balancer {
    /// Its URL, without a path.
    pub url: String,
    _running: Running,
}

impl Balancer {
    /// Starts one before these addresses.
    pub fn start(replicas: &[&str], options: &Options, folder: &Path) -> Result<Self> {
        let program = nginx::found()?;
        let folder = folder.join("nginx");
        std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let listen = nginx::free_address()?;
        let file = folder.join("nginx.conf");
        std::fs::write(&file, config(replicas, options, &listen, &folder))
            .map_err(|e| format!("{}: {e}", file.display()))?;
        let mut command = bound(&program);
        command.arg("-p").arg(&folder).arg("-c").arg(&file).arg("-e").arg(folder.join("error.log"));
        let running = Running::start("nginx", &mut command, &folder.join("output.log"))?;
        let begun = Instant::now();
        while TcpStream::connect(&listen).is_err() {
            if begun.elapsed() > START {
                let log = std::fs::read_to_string(folder.join("error.log")).unwrap_or_default();
                return Err(format!("nginx does not listen:\n{log}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self { url: format!("http://{listen}"), _running: running })
    }
}

/// One process that does everything itself, so that it can be stopped by its id alone.
fn config(replicas: &[&str], options: &Options, listen: &str, folder: &Path) -> String {
    let mut servers = String::new();
    for replica in replicas {
        // One that was down is tried again after a second.
        let _ = writeln!(servers, "        server {replica} max_fails=1 fail_timeout=1s;");
    }
    let (clients, kept) = if options.keep {
        ("keepalive_requests 1000000000;", "        keepalive 256;\n        keepalive_requests 1000000000;\n")
    } else {
        ("keepalive_timeout 0;", "")
    };
    let (master, workers) = match options.workers {
        1 => ("master_process off;\n", 1),
        workers => ("", workers),
    };
    let (folder, silence) = (folder.display(), options.silence.as_secs());
    let connection = if options.keep { "" } else { "close" };
    format!(
        "daemon off;
{master}worker_processes {workers};
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 32768; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 64m;
    client_body_buffer_size 64k;
    {clients}
    upstream replicas {{
{servers}{kept}    }}
    server {{
        listen {listen} backlog=4096;
        location / {{
            proxy_pass http://replicas;
            proxy_http_version 1.1;
            proxy_set_header Connection \"{connection}\";
            proxy_set_header Host $http_host;
            proxy_buffering off;
            proxy_connect_timeout 2s;
            proxy_read_timeout {silence}s;
            proxy_next_upstream error;
        }}
    }}
}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_per_connection_unless_connections_are_kept() {
        let text = |options| config(&["a:1", "b:2"], &options, "127.0.0.1:3", Path::new("/x"));
        let plain = text(Options::default());
        assert!(plain.contains("keepalive_timeout 0;") && plain.contains("Connection \"close\""));
        assert!(plain.contains("server a:1 ") && plain.contains("server b:2 "));
        assert!(!plain.contains("keepalive 256;") && !plain.contains("non_idempotent"));
        let kept = text(Options { keep: true, workers: 2, ..Options::default() });
        assert!(kept.contains("keepalive 256;") && kept.contains("worker_processes 2;"));
        for text in [plain, kept] {
            assert!(text.contains("proxy_buffering off;"));
            assert_eq!(text.matches('{').count(), text.matches('}').count());
        }
    }
}
