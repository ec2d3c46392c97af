//! 2025-11-25 on standard input and output.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;

use super::legacy::{self, Session};
use super::tools::Call;
use crate::Result;
use crate::ledger::Ledger;

/// How many lines may wait to be written.
const AHEAD_MAX: usize = 256;

pub async fn serve(ledger: Arc<Ledger>) -> Result<()> {
    let (sender, mut lines) = mpsc::channel::<Value>(AHEAD_MAX);
    tokio::spawn(async move {
        let mut out = tokio::io::stdout();
        while let Some(message) = lines.recv().await {
            let line = format!("{message}\n");
            if out.write_all(line.as_bytes()).await.is_err() || out.flush().await.is_err() {
                return;
            }
        }
    });
    let session = Arc::new(Session::default());
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = input.next_line().await.map_err(|e| e.to_string())? {
        let message: Value = serde_json::from_str(&line).unwrap_or_default();
        let (id, method) = (message["id"].clone(), message["method"].as_str().unwrap_or_default());
        let answer = match (method, id.is_null()) {
            ("", _) => {
                session.answered(&message);
                continue;
            }
            ("notifications/cancelled", _) => {
                session.end(&message["params"]["requestId"]);
                continue;
            }
            (_, true) => continue,
            ("initialize", _) => json!({"jsonrpc": "2.0", "id": id, "result": legacy::initialized()}),
            ("tools/call", _) => match Call::read(&message["params"]) {
                Some(call) => {
                    let (session, ledger) = (Arc::clone(&session), Arc::clone(&ledger));
                    tokio::spawn(run(session, ledger, sender.clone(), id, call));
                    continue;
                }
                None => legacy::error(&id, -32602, "unknown tool or no nonce"),
            },
            (method, _) => match legacy::known(method) {
                Some(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
                None => legacy::error(&id, -32601, "unknown method"),
            },
        };
        sender.send(answer).await.map_err(|e| e.to_string())?;
    }
    Ok(())
}

async fn run(session: Arc<Session>, ledger: Arc<Ledger>, sender: mpsc::Sender<Value>, id: Value, call: Call) {
    let unwanted = session.begin(&id);
    let work = async {
        let mut answer = None;
        if let Some(question) = call.question() {
            let (name, receiver) = session.question();
            let asked = json!({"jsonrpc": "2.0", "id": name, "method": question.method,
                "params": question.params});
            // Where nobody reads, the process is about to end.
            let _ = sender.send(asked).await;
            match receiver.await {
                Ok(said) => answer = Some(said),
                Err(_) => return,
            }
        }
        call.take_effect(&ledger);
        for (_, pause) in call.steps() {
            tokio::time::sleep(pause).await;
        }
        let result = call.result(answer.as_ref());
        let _ = sender.send(json!({"jsonrpc": "2.0", "id": id, "result": result})).await;
    };
    tokio::select! {
        () = work => {}
        _ = unwanted => {}
    }
    session.end(&id);
}
