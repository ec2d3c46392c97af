//! One of the two that are compared: a gateway at a URL, or a configuration. Both are asked by our own
//! client.

use std::sync::Arc;
use std::time::Duration;

use config::Span;
use model::SystemClock;
use protocol::{Method, Raw, RpcError};
use seal::SystemRng;
use serde_json::{Map, Value, json};
use server::{Embedded, Local};

use super::compare::Answer;
use crate::cli::Source;
use crate::embedded::Recorded;
use crate::exit::{Coded, REFUSED};
use crate::list::{self, Listed};
use crate::{call, embedded, logging, out};

/// What the other gateway is called inside.
const OTHER: &str = "other";

/// A header whose value is kept elsewhere.
#[derive(Debug, Clone)]
pub struct Header {
    name: String,
    /// `env` or `file`.
    kind: &'static str,
    place: String,
}

/// Reads `NAME=env:VARIABLE` or `NAME=file:PATH`.
pub fn header(text: &str) -> Result<Header, String> {
    let wrong = || "write NAME=env:VARIABLE or NAME=file:PATH".to_owned();
    let (name, place) = text.split_once('=').ok_or_else(wrong)?;
    let (kind, place) = match place.split_once(':') {
        Some(("env", place)) => ("env", place),
        Some(("file", place)) => ("file", place),
        _ => return Err(format!("a value is kept elsewhere: {}", wrong())),
    };
    if name.is_empty() || place.is_empty() {
        return Err(wrong());
    }
    Ok(Header { name: name.to_owned(), kind, place: place.to_owned() })
}

/// One of the two.
pub struct Side {
    what: &'static str,
    running: Running,
    endpoint: Local,
    /// How long an answer may take to its end, whatever comes of it meanwhile.
    timeout: Option<Duration>,
}

/// What asks.
enum Running {
    /// A client alone, in front of a gateway that has its own records.
    Client(Embedded),
    /// A configuration of ours: its calls are recorded as it says.
    Ours(Recorded),
}

impl Running {
    fn gateway(&self) -> &Embedded {
        match self {
            Self::Client(gateway) => gateway,
            Self::Ours(recorded) => &recorded.gateway,
        }
    }

    async fn stop(self) {
        match self {
            Self::Client(gateway) => gateway.stop().await,
            Self::Ours(recorded) => recorded.stop().await,
        }
    }
}

impl Side {
    /// A gateway that runs, whoever's it is. None of its answers takes longer than `timeout`.
    pub async fn of_url(
        what: &'static str,
        url: &str,
        headers: &[Header],
        timeout: Span,
    ) -> anyhow::Result<Self> {
        let headers: Map<String, Value> = headers
            .iter()
            .map(|header| (header.name.clone(), json!({(header.kind): header.place})))
            .collect();
        // The text goes through all checks that a file goes through.
        let text = json!({"upstreams": {(OTHER): {"url": url, "headers": headers}}}).to_string();
        let mut config = config::load_str(&text, what).map_err(Coded::faults)?;
        config.anchor_paths(std::path::Path::new("."));
        for upstream in config.upstreams.values_mut() {
            let times = &mut upstream.timeouts;
            for time in [&mut times.first_byte, &mut times.idle, &mut times.total] {
                *time = timeout;
            }
            times.connect = times.connect.min(timeout);
        }
        config.telemetry.log_level = config::LogLevel::Error;
        logging::start(&config.telemetry);
        let gateway = Embedded::start(&config, Arc::new(SystemClock), Arc::new(SystemRng));
        let gateway = gateway.map_err(|error| Coded::compose(&error))?;
        let side = Self::new(what, Running::Client(gateway), OTHER).await?;
        Ok(Self { timeout: Some(timeout.duration()), ..side })
    }

    /// A configuration of ours.
    pub async fn of_config(what: &'static str, source: &Source, endpoint: &str) -> anyhow::Result<Self> {
        let recorded = Recorded::start(source, true).await?;
        Self::new(what, Running::Ours(recorded), endpoint).await
    }

    async fn new(what: &'static str, running: Running, endpoint: &str) -> anyhow::Result<Self> {
        match embedded::endpoint(running.gateway(), endpoint, "{}") {
            Ok(endpoint) => Ok(Self { what, running, endpoint, timeout: None }),
            Err(error) => {
                running.stop().await;
                Err(error)
            }
        }
    }

    /// The whole list.
    ///
    /// # Errors
    /// Where it cannot be had, or not all of it: what is missing would look like a difference.
    pub async fn list(&self, kind: Listed) -> anyhow::Result<Vec<Value>> {
        let whole = list::pages(&self.endpoint, kind).await;
        let whole = whole.map_err(|error| self.refused("list the tools", &error))?;
        if let Some(why) = whole.missing().next() {
            let text = format!("list the tools of {}: {}", self.what, out::plain(why));
            return Err(Coded::new(REFUSED, text).into());
        }
        Ok(whole.items)
    }

    /// The answer to a call.
    pub async fn call(&self, tool: &str, arguments: &Value) -> Answer {
        let params = Raw::from_value(&json!({"name": tool, "arguments": arguments}));
        let answer = async {
            let reply = self.endpoint.call(Method::ToolsCall, &params).await;
            call::outcome(reply, |_, _| {}).await
        };
        // The times of an upstream count what is waited for; here it is all the time until the end.
        let answer = match self.timeout {
            Some(timeout) => tokio::time::timeout(timeout, answer).await,
            None => Ok(answer.await),
        };
        match answer {
            Ok(Ok(result)) => Answer::Result(result),
            Ok(Err(error)) => Answer::Error(error.code, error.message.clone()),
            Err(_) => {
                let text = format!("{} did not answer in time", self.what);
                Answer::Error(protocol::code::UPSTREAM_TIMEOUT, text)
            }
        }
    }

    /// The upstreams' names, where this is a configuration of ours.
    pub fn upstreams(&self) -> Vec<String> {
        let Running::Ours(recorded) = &self.running else { return Vec::new() };
        let all = recorded.gateway.app().generation().upstreams();
        all.iter().map(|one| one.name().as_str().to_owned()).collect()
    }

    /// Ends what it has started.
    pub async fn stop(self) {
        self.running.stop().await;
    }

    fn refused(&self, what: &str, error: &RpcError) -> anyhow::Error {
        embedded::refused(self.running.gateway(), &format!("{what} of {}", self.what), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_names_where_its_value_is() {
        let read = header("Authorization=env:OLD_TOKEN").expect("a header");
        assert_eq!((&*read.name, read.kind, &*read.place), ("Authorization", "env", "OLD_TOKEN"));
        assert_eq!(header("X=file:/run/a:b").expect("a path").place, "/run/a:b");
        for text in ["Authorization=Bearer abc", "X", "=env:A", "X=env:", "X=vault:a"] {
            let error = header(text).expect_err(text);
            assert!(error.contains("NAME=env:VARIABLE") && !error.contains("abc"), "{error}");
        }
    }
}
