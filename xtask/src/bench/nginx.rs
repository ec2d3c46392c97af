//! nginx before the same server: what a proxy costs that understands nothing of the protocol.

use super::program::{Program, command};
use crate::Result;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long it may take to listen.
const START: Duration = Duration::from_secs(10);

/// Where the program is.
pub fn found() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join("nginx")).find(|file| file.is_file()).ok_or_else(|| {
        "nginx is missing, so nothing is compared with it (apt-get install nginx-light)".to_owned()
    })
}

/// What it says it is; `None` where it is missing.
pub fn version() -> Option<String> {
    let output = Command::new(found().ok()?).arg("-v").output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    Some(text.trim().rsplit('/').next().unwrap_or_default().to_owned())
}

/// Starts this nginx before the server at `upstream`; gives back its own URL.
pub fn start(nginx: &Path, upstream: &str, folder: &Path) -> Result<(Program, String)> {
    let folder = folder.join("nginx");
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let server = upstream.strip_prefix("http://").unwrap_or(upstream);
    let address = free_address()?;
    let file = folder.join("nginx.conf");
    std::fs::write(&file, config(&folder, server, &address))
        .map_err(|e| format!("{}: {e}", file.display()))?;
    let mut command = command(nginx);
    command.arg("-p").arg(&folder).arg("-c").arg(&file).arg("-e").arg(folder.join("error.log"));
    let program = Program::start("nginx", &mut command, &folder)?;
    let begun = Instant::now();
    while std::net::TcpStream::connect(&address).is_err() {
        if begun.elapsed() > START {
            let log = std::fs::read_to_string(folder.join("error.log")).unwrap_or_default();
            return Err(format!("nginx does not listen:\n{log}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok((program, format!("http://{address}")))
}

/// An address that nobody listens on.
pub fn free_address() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| format!("no free port: {e}"))?;
    Ok(listener.local_addr().map_err(|e| format!("no free port: {e}"))?.to_string())
}

/// As a careful operator would set it up for this traffic: connections kept on both sides, nothing logged.
fn config(folder: &Path, upstream: &str, listen: &str) -> String {
    let folder = folder.display();
    format!(
        "daemon off;
worker_processes auto;
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000000;
    client_body_buffer_size 16k;
    upstream server {{
        server {upstream};
        keepalive 128;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {listen};
        location / {{
            proxy_pass http://server;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header Host $http_host;
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
    fn the_configuration_keeps_connections_on_both_sides() {
        let text = config(Path::new("/x"), "127.0.0.1:1", "127.0.0.1:2");
        for line in ["server 127.0.0.1:1;", "listen 127.0.0.1:2;", "keepalive 128;", "worker_processes auto;"]
        {
            assert!(text.contains(line), "{line}");
        }
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }
}
