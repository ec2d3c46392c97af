//! To a syslog server: messages of RFC 5424, each with its length before it (RFC 6587, RFC 5425).
//!
//! The protocol says nothing back. So each batch has a connection of its own, which this side closes for
//! writing: a server that then closes in order has read to the end, and one that fails resets or is silent.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use egress::{Dialer, EgressError, Guard, HttpOptions, TlsOptions};
use store::AuditEntryRow;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Batch, Refused, Taker};

/// Facility 13, "log audit".
const FACILITY: u8 = 13;

pub(super) struct Syslog {
    dialer: Dialer,
    authority: String,
    tls: bool,
}

impl Syslog {
    pub(super) fn new(
        authority: &str,
        tls: bool,
        ca: Option<Vec<u8>>,
        timeout: Duration,
    ) -> Result<Self, EgressError> {
        // The operator wrote the address: any is allowed.
        let dialer = Dialer::new(&HttpOptions {
            guard: Guard::Operator,
            connect_timeout: timeout,
            tls: TlsOptions { extra_ca_pem: ca, ..TlsOptions::default() },
            ..HttpOptions::default()
        })?;
        Ok(Self { dialer, authority: authority.to_owned(), tls })
    }
}

#[async_trait]
impl Taker for Syslog {
    async fn take(&self, batch: &Batch<'_>) -> Result<u64, Refused> {
        let mut frames = Vec::new();
        for (row, line) in batch.rows.iter().zip(batch.lines) {
            frame(&mut frames, row, line);
        }
        let mut connection = self.dialer.connect(&self.authority, self.tls).await?;
        connection.write_all(&frames).await.map_err(Refused::Broke)?;
        connection.shutdown().await.map_err(Refused::Broke)?;
        let mut rest = [0; 512];
        loop {
            match connection.read(&mut rest).await {
                Ok(0) => return Ok(0),
                Ok(_) => {}
                // A server that closes without the last word of TLS has still read it all: one that had not
                // would have reset the connection.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) => return Err(Refused::Broke(error)),
            }
        }
    }
}

/// A message and its length before it.
fn frame(out: &mut Vec<u8>, row: &AuditEntryRow, line: &str) {
    let severity = match row.outcome.as_str() {
        "denied" | "error" => 4,
        _ => 6,
    };
    let (priority, at) = (FACILITY * 8 + severity, audit::moment(row.at));
    let kind: String = row.kind.chars().filter(char::is_ascii_graphic).take(32).collect();
    let kind = if kind.is_empty() { "-" } else { &kind };
    // No host and no process: which replica sends it says nothing about who wrote it.
    let message = format!("<{priority}>1 {at} - tidegate - {kind} - {line}");
    out.extend_from_slice(format!("{} ", message.len()).as_bytes());
    out.extend_from_slice(message.as_bytes());
}
