//! The server itself, started or connected to once: what tools it has, and the hash of each definition.

use std::path::Path;
use std::sync::Arc;

use config::Config;
use model::SystemClock;
use policy::pins::{Definition, Kind, suspicions, visible};
use protocol::{Capabilities, Raw};
use seal::SystemRng;
use serde::Serialize;
use server::{Embedded, Local};

use crate::exit::Coded;
use crate::{embedded, list};

/// A tool as the server lists it.
#[derive(Debug, Serialize)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// The hash of its definition, by which it is approved.
    pub pin: String,
    /// What detectors find in it.
    pub findings: Vec<String>,
}

/// Asks the server, in a gateway that has nothing else and writes nothing down.
pub async fn tools(after: &Config, name: &str, folder: &Path) -> anyhow::Result<Vec<Tool>> {
    let mut alone = Config::default();
    alone.telemetry.log_level = config::LogLevel::Error;
    alone
        .upstreams
        .extend(after.upstreams.get_key_value(name).map(|(name, one)| (name.clone(), one.clone())));
    alone.anchor_paths(folder);
    let gateway = Embedded::start(&alone, Arc::new(SystemClock), Arc::new(SystemRng));
    let gateway = gateway.map_err(|error| Coded::compose(&error))?;
    let asked = asked(&gateway, name).await;
    gateway.stop().await;
    asked
}

async fn asked(gateway: &Embedded, name: &str) -> anyhow::Result<Vec<Tool>> {
    let endpoint = Local::new(gateway.app(), name, Capabilities::none());
    let endpoint = endpoint.ok_or_else(|| Coded::config(format!("find the endpoint {name}")))?;
    let whole = match list::pages(&endpoint, list::TOOLS).await {
        Ok(whole) => whole.items,
        Err(error) if error.code == protocol::code::METHOD_NOT_FOUND => Vec::new(),
        Err(error) => return Err(embedded::refused(gateway, &format!("ask {name} for its tools"), &error)),
    };
    let tool = |item: &serde_json::Value| {
        let definition = Definition::read(Kind::Tool, &Raw::from_value(item));
        let name = visible(item["name"].as_str().unwrap_or_default());
        Tool { name, findings: suspicions(&definition.text), pin: definition.hash }
    };
    Ok(whole.iter().map(tool).collect())
}
