//! The program on a terminal.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use testkit::within;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::program::code;

/// A program whose input, output and errors are one terminal.
pub struct Terminal {
    child: Child,
    keys: File,
    output: mpsc::UnboundedReceiver<Vec<u8>>,
    /// Everything on the screen.
    pub seen: String,
    /// How far [`Terminal::find`] has come.
    found: usize,
}

impl Terminal {
    pub fn start(mut command: Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let path = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
        let other = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let end = || Stdio::from(other.try_clone().unwrap());
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let keys = File::from(master);
        let mut screen = keys.try_clone().unwrap();
        let (sender, output) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            // The end is an error on a terminal: nobody has its other side open.
            while let Ok(size @ 1..) = screen.read(&mut chunk) {
                if sender.send(chunk[..size].to_vec()).is_err() {
                    return;
                }
            }
        });
        // The command keeps ends of its own until it is dropped.
        drop(command);
        Self { child, keys, output, seen: String::new(), found: 0 }
    }

    /// Waits until this is on the screen, after what was waited for before.
    pub async fn find(&mut self, part: &str) {
        loop {
            if let Some(at) = self.seen[self.found..].find(part) {
                self.found += at + part.len();
                return;
            }
            match within(self.output.recv()).await {
                Some(chunk) => self.seen.push_str(&String::from_utf8_lossy(&chunk)),
                None => panic!("no {part:?} on the screen: {}", self.seen),
            }
        }
    }

    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Its exit code and its whole screen, once it has ended by itself.
    pub async fn ended(mut self) -> (i32, String) {
        let code = code(within(self.child.wait()).await.unwrap());
        while let Some(chunk) = within(self.output.recv()).await {
            self.seen.push_str(&String::from_utf8_lossy(&chunk));
        }
        (code, self.seen.replace("\r\n", "\n"))
    }
}
