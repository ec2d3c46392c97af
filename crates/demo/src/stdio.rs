//! One message a line, both ways, in both eras.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::call::{Frame, Outlet};
use crate::legacy::{self, Connection, Running};
use crate::modern::{self, Admitted, Listen};
use crate::rpc::{self, Kind, Malformed, Message, RpcError};
use crate::server::Server;

/// How many messages the server may be ahead of its client.
const AHEAD_MAX: usize = 64;
/// How many lines may be worked on at once.
const TASKS_MAX: usize = 1_024;
/// How long requests may go on once the client closed its side.
const DRAIN: Duration = Duration::from_millis(250);

impl Server {
    /// Serves one client on a pair of pipes until it closes its side, in whichever era it speaks.
    ///
    /// # Errors
    /// When a pipe breaks.
    pub async fn serve_stdio<R, W>(self, reader: R, writer: W) -> io::Result<()>
    where
        R: AsyncRead + Send + Unpin,
        W: AsyncWrite + Send + Unpin,
    {
        let (sender, receiver) = mpsc::channel(AHEAD_MAX);
        let reading = read(self, reader, sender);
        let writing = write(writer, receiver);
        tokio::pin!(reading, writing);
        tokio::select! {
            read = &mut reading => {
                // Every sender is gone by now, so this ends once the last message is out.
                writing.await?;
                read
            }
            written = &mut writing => written,
        }
    }
}

async fn write<W: AsyncWrite + Unpin>(mut writer: W, mut frames: mpsc::Receiver<Frame>) -> io::Result<()> {
    while let Some(frame) = frames.recv().await {
        if let Frame::Message(message) = frame {
            let mut line = message.to_string();
            line.push('\n');
            writer.write_all(line.as_bytes()).await?;
            writer.flush().await?;
        }
    }
    Ok(())
}

async fn read<R: AsyncRead + Unpin>(
    server: Server,
    reader: R,
    sender: mpsc::Sender<Frame>,
) -> io::Result<()> {
    let limit = server.config().body_bytes_max;
    let client = Client::new(server, sender);
    let mut reader = BufReader::new(reader);
    let mut tasks = JoinSet::new();
    let mut line = Vec::new();
    loop {
        while tasks.try_join_next().is_some() {}
        match read_line(&mut reader, &mut line, limit).await? {
            Line::End => break,
            Line::TooLong => {
                client.refuse(None, &RpcError::new(rpc::INVALID_REQUEST, "the line is too long")).await
            }
            Line::Whole if tasks.len() >= TASKS_MAX => {
                client.refuse(None, &RpcError::new(rpc::INTERNAL_ERROR, "Too many open requests")).await;
            }
            Line::Whole if line.iter().all(u8::is_ascii_whitespace) => {}
            Line::Whole => client.take(&line, &mut tasks).await,
        }
    }
    let drained = async { while tasks.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(DRAIN, drained).await;
    tasks.shutdown().await;
    Ok(())
}

enum Line {
    Whole,
    TooLong,
    End,
}

/// Reads up to the next line break, which is not kept. What is longer than the limit is skipped.
async fn read_line<R: AsyncRead + Unpin>(
    reader: &mut BufReader<R>,
    line: &mut Vec<u8>,
    limit: usize,
) -> io::Result<Line> {
    line.clear();
    let mut too_long = false;
    loop {
        let chunk = reader.fill_buf().await?;
        if chunk.is_empty() {
            // A last line without a break counts, too.
            return Ok(if line.is_empty() { Line::End } else { Line::Whole });
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let part = &chunk[..end.unwrap_or(chunk.len())];
        too_long = too_long || line.len() + part.len() > limit;
        if too_long {
            line.clear();
        } else {
            line.extend_from_slice(part);
        }
        let used = end.map_or(chunk.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            return Ok(if too_long { Line::TooLong } else { Line::Whole });
        }
    }
}

/// The client on the other side.
struct Client {
    server: Server,
    /// Its name among the server's connections.
    id: String,
    outlet: Outlet,
    connection: Arc<Connection>,
    /// Its open modern requests.
    running: Arc<Running>,
}

impl Client {
    fn new(server: Server, sender: mpsc::Sender<Frame>) -> Self {
        let outlet = Outlet::Channel(sender);
        let connection = Connection::new(server.clone(), outlet.clone());
        let id = server.keys().id();
        server.sessions().stdio.insert(id.clone(), Arc::clone(&connection));
        Self { server, id, outlet, connection, running: Arc::default() }
    }

    async fn refuse(&self, id: Option<&Value>, error: &RpcError) {
        let null = (!self.server.config().has_modern()).then_some(&Value::Null);
        self.outlet.send(rpc::failure(id.or(null), error)).await;
    }

    async fn take(&self, line: &[u8], tasks: &mut JoinSet<()>) {
        let value = match serde_json::from_slice(line) {
            Ok(value) => value,
            Err(fault) => {
                let error = RpcError::new(rpc::PARSE_ERROR, format!("Parse error: {fault}"));
                return self.refuse(None, &error).await;
            }
        };
        let message = match value {
            Value::Array(messages) if self.server.config().has_legacy() => {
                let connection = Arc::clone(&self.connection);
                tasks.spawn(async move {
                    if let Some(answer) = connection.receive_batch(messages).await {
                        connection.outlet().send(answer).await;
                    }
                });
                return;
            }
            value => match Message::new(value) {
                Ok(message) => message,
                Err(Malformed { id, error }) => return self.refuse(id.as_ref(), &error).await,
            },
        };
        self.server.seen().saw(&message, &Arc::default());
        if self.is_modern(&message) {
            self.take_modern(message, tasks).await;
        } else {
            self.take_legacy(message, tasks).await;
        }
    }

    fn is_modern(&self, message: &Message) -> bool {
        let config = self.server.config();
        config.has_modern()
            && (!config.has_legacy()
                || modern::is_modern(message)
                || (message.kind() == Kind::Request && message.method() == "server/discover"))
    }

    async fn take_legacy(&self, message: Message, tasks: &mut JoinSet<()>) {
        if message.method() == "notifications/cancelled" {
            self.running.cancel(&message.params()["requestId"]);
        }
        let in_order = message.method() == "initialize" || message.kind() != Kind::Request;
        let connection = Arc::clone(&self.connection);
        let work = async move {
            if let Some(answer) = connection.receive(message).await {
                connection.outlet().send(answer).await;
            }
        };
        if in_order {
            work.await;
        } else {
            tasks.spawn(work);
        }
    }

    async fn take_modern(&self, message: Message, tasks: &mut JoinSet<()>) {
        match message.kind() {
            Kind::Request => {}
            Kind::Notification if message.method() == "notifications/cancelled" => {
                return self.running.cancel(&message.params()["requestId"]);
            }
            Kind::Notification | Kind::Response => return,
        }
        let id = message.id().clone();
        if message.method() == "initialize" && !modern::is_modern(&message) {
            let asked = message.params()["protocolVersion"].as_str().unwrap_or_default();
            return self.refuse(Some(&id), &legacy::unsupported(&self.server, asked)).await;
        }
        // An error here would make the client take this server for an older one.
        if message.method() == "server/discover" && !modern::is_modern(&message) {
            self.outlet.send(modern::respond_discover(&self.server, &id)).await;
            return;
        }
        let ticket = match self.running.start(&id) {
            Ok(ticket) => ticket,
            Err(busy) => return self.refuse(Some(&id), &legacy::refusal(&busy)).await,
        };
        let outlet = self.outlet.clone();
        match modern::admit(&self.server, message, None, outlet.clone()) {
            Ok(Admitted::Call(call)) => {
                tasks.spawn(async move {
                    if let Some(response) = ticket.run(modern::respond(call)).await {
                        outlet.send(response).await;
                    }
                });
            }
            Ok(Admitted::Listen(listen)) => {
                tasks.spawn(async move {
                    ticket.run(listen_on(listen, outlet)).await;
                });
            }
            Err(error) => self.refuse(Some(&id), &error).await,
        }
    }
}

async fn listen_on(mut listen: Listen, outlet: Outlet) {
    while let Some(message) = listen.next().await {
        if !outlet.send(message).await {
            return;
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Bound first, as it would otherwise be dropped while the lock is held.
        let connection = self.server.sessions().stdio.remove(&self.id);
        drop(connection);
        self.connection.close();
    }
}
