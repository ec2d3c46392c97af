//! `subscriptions/listen`.

use std::collections::HashSet;

use serde_json::{Value, json};
use tokio::sync::broadcast::{self, error::RecvError};

use super::{meta, named};
use crate::rpc::{self, Message, RpcError};
use crate::server::{Change, Listing, Server};
use crate::stats::{Gauge, Held};

/// How many resources one stream may listen to.
const RESOURCES_MAX: usize = 1_000;

/// One listening client.
#[derive(Debug)]
pub(crate) struct Listen {
    server: Server,
    id: Value,
    filter: Filter,
    /// The part of the client's filter that holds.
    accepted: Value,
    changes: broadcast::Receiver<Change>,
    acknowledged: bool,
    ended: bool,
    _open: Held,
}

#[derive(Debug, Default)]
struct Filter {
    lists: Vec<Listing>,
    resources: HashSet<String>,
}

impl Filter {
    fn new(server: &Server, asked: &Value) -> Result<(Self, Value), RpcError> {
        let wrong = |name: &str| RpcError::invalid_params(format!("notifications.{name} has another type"));
        let config = server.config();
        let mut filter = Self::default();
        let mut accepted = json!({});
        for (name, listing, offered) in [
            ("toolsListChanged", Listing::Tools, config.tools),
            ("promptsListChanged", Listing::Prompts, config.prompts),
            ("resourcesListChanged", Listing::Resources, config.resources),
        ] {
            match asked.get(name) {
                None | Some(Value::Bool(false)) => {}
                Some(Value::Bool(true)) if !offered => {}
                Some(Value::Bool(true)) => {
                    filter.lists.push(listing);
                    accepted[name] = json!(true);
                }
                Some(_) => return Err(wrong(name)),
            }
        }
        if let Some(uris) = asked.get("resourceSubscriptions") {
            let uris = uris.as_array().ok_or_else(|| wrong("resourceSubscriptions"))?;
            if uris.len() > RESOURCES_MAX {
                return Err(RpcError::invalid_params("too many resourceSubscriptions"));
            }
            let uris: Option<Vec<_>> = uris.iter().map(Value::as_str).collect();
            let uris = uris.ok_or_else(|| wrong("resourceSubscriptions"))?;
            if config.resources {
                filter.resources = uris.iter().map(|uri| (*uri).to_owned()).collect();
                accepted["resourceSubscriptions"] = json!(uris);
            }
        }
        Ok((filter, accepted))
    }

    fn message(&self, change: &Change) -> Option<Value> {
        match change {
            Change::List(listing) if self.lists.contains(listing) => {
                Some(rpc::notification(listing.notification(), Some(json!({}))))
            }
            Change::Resource(uri) if self.resources.contains(uri) => {
                Some(rpc::notification("notifications/resources/updated", Some(json!({ "uri": uri }))))
            }
            Change::List(_) | Change::Resource(_) | Change::Closing | Change::Dropped => None,
        }
    }
}

impl Listen {
    pub fn new(server: &Server, message: &Message) -> Result<Self, RpcError> {
        let asked = &message.params()["notifications"];
        if !asked.is_object() {
            return Err(RpcError::invalid_params("notifications is an object"));
        }
        // From here on nothing is missed, even before the client reads.
        let changes = server.changes();
        let (filter, accepted) = Filter::new(server, asked)?;
        let open = server.seen().hold(Gauge::StreamsOpen);
        if server.seen().gauge(Gauge::StreamsOpen) > server.config().streams_max as u64 {
            return Err(RpcError::new(rpc::INTERNAL_ERROR, "Too many open streams"));
        }
        Ok(Self {
            server: server.clone(),
            id: message.id().clone(),
            filter,
            accepted,
            changes,
            acknowledged: false,
            ended: false,
            _open: open,
        })
    }

    /// The next message. `None`: the stream ends.
    pub async fn next(&mut self) -> Option<Value> {
        if !self.acknowledged {
            self.acknowledged = true;
            return Some(self.acknowledgement());
        }
        while !self.ended {
            let change = match self.changes.recv().await {
                Ok(change) => change,
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return None,
            };
            match change {
                Change::Dropped => return None,
                Change::Closing => {
                    self.ended = true;
                    let mut result = named(&self.server, json!({ "resultType": "complete" }));
                    result["_meta"][meta::SUBSCRIPTION_ID] = self.id.clone();
                    return Some(rpc::success(&self.id, result));
                }
                change => {
                    if let Some(message) = self.filter.message(&change) {
                        return Some(self.tagged(message));
                    }
                }
            }
        }
        None
    }

    fn acknowledgement(&self) -> Value {
        let params = json!({ "notifications": self.accepted });
        self.tagged(rpc::notification("notifications/subscriptions/acknowledged", Some(params)))
    }

    fn tagged(&self, mut message: Value) -> Value {
        message["params"]["_meta"] = json!({ meta::SUBSCRIPTION_ID: self.id });
        message
    }
}
