//! Servers for tests that stop and start them: one for each connection, as long as that lasts.
//!
//! A test connects and reads the URL of a new server on a line. It may then write the lines `stop` (the
//! connections are cut), `kill` (as in a crash), `start`, `freeze` (no further connection is taken) and
//! `thaw`, and reads `ok` when that is done, or a line that says why not.

use super::programs::Programs;
use super::server::{Server, Stop};
use crate::Result;
use crate::workspace::Workspace;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

/// Servers that run at the same time; others are refused.
const SERVERS_MAX: usize = 4;

/// The listener; it ends with this program.
#[derive(Debug)]
pub struct Control {
    address: SocketAddr,
}

impl Control {
    /// Starts to listen.
    pub fn listen(programs: &Programs, workspace: &Workspace) -> Result<Self> {
        let fail = |e: std::io::Error| format!("no control of PostgreSQL: {e}");
        let listener = TcpListener::bind("127.0.0.1:0").map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        let (programs, root) = (programs.clone(), workspace.root.clone());
        std::thread::spawn(move || {
            let places = Arc::new(());
            for (number, stream) in listener.incoming().flatten().enumerate() {
                let (programs, root, place) = (programs.clone(), root.clone(), places.clone());
                let full = Arc::strong_count(&place) > SERVERS_MAX + 2;
                std::thread::spawn(move || {
                    let _place = place;
                    let workspace = Workspace { root, members: Vec::new() };
                    let mut server = if full {
                        Err("too many servers at once".to_owned())
                    } else {
                        Server::start(&programs, &workspace, &format!("own{number}"))
                    };
                    // It fails where the test went away, which ends the server as it should.
                    let _ = serve(&stream, &mut server);
                });
            }
        });
        Ok(Self { address })
    }

    /// Where to connect.
    pub fn address(&self) -> String {
        self.address.to_string()
    }
}

fn serve(mut stream: &TcpStream, server: &mut Result<Server>) -> std::io::Result<()> {
    let server = match server {
        Ok(server) => server,
        Err(message) => return writeln!(stream, "error: {}", message.replace('\n', " ")),
    };
    writeln!(stream, "{}", server.url())?;
    for line in BufReader::new(stream).lines() {
        match order(server, &line?) {
            Ok(()) => writeln!(stream, "ok")?,
            Err(message) => writeln!(stream, "error: {}", message.replace('\n', " "))?,
        }
    }
    Ok(())
}

fn order(server: &mut Server, word: &str) -> Result {
    match word {
        "stop" => server.stop(Stop::Fast),
        "kill" => server.stop(Stop::Immediate),
        "start" => server.resume(),
        "freeze" => server.freeze(),
        "thaw" => server.thaw(),
        other => Err(format!("there is no {other}")),
    }
}
