//! `subscriptions/listen`: a stream of changes (basic/patterns/subscriptions).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use protocol::json::Object;
use protocol::latest::meta;
use protocol::{Call, Id, Raw, RpcError, code, envelope, sse};
use serde_json::{Value, json};
use upstream::Change;

use crate::answer::{self, Accepts, Answer};
use crate::app::{App, Exchange};
use crate::hub::{Subscription, Wanted};

/// What a client asked for, as far as the endpoint can give it.
#[derive(Debug, Default)]
struct Agreed {
    tools: bool,
    prompts: bool,
    resources: bool,
    uris: Vec<Arc<str>>,
}

/// Opens the stream; its first message says what will come.
pub(crate) async fn listen(x: Exchange, id: Id, call: &Call) -> Result<Answer, RpcError> {
    if !Accepts::read(&x.headers).events {
        return Err(RpcError::invalid_request("Accept must name text/event-stream to listen"));
    }
    let stream = open(x, id, call).await?;
    Ok(answer::events(Box::pin(futures_util::stream::unfold(stream, |mut stream| async move {
        let message = stream.next_message().await?;
        Some((Ok(sse::event(None, &message)), stream))
    }))))
}

/// Opens the stream of messages, however they travel.
pub(crate) async fn open(x: Exchange, id: Id, call: &Call) -> Result<Stream, RpcError> {
    let filter = call.params.get("notifications").map(|f| f.object());
    let filter = match filter {
        None => Object::empty(),
        Some(Ok(Some(filter))) => filter,
        Some(_) => {
            return Err(RpcError::invalid_params("Invalid params: \"notifications\" must be an object"));
        }
    };
    if filter.has("taskIds") && !x.caller.capabilities.tasks {
        let error = RpcError::new(code::MISSING_CAPABILITY, "taskIds needs the Tasks extension");
        return Err(error.with(tasks_needed()));
    }
    let limit = x.generation.limits.streams_max;
    let Some(place) = Place::take(&x.app, limit) else {
        let text =
            format!("As many streams as allowed are open (limit {limit}, streams_max): try again later");
        return Err(RpcError::new(code::LIMIT, text));
    };
    let agreed = agree(&x, &filter).await?;
    let subscription = x.app.hub.subscribe(wanted(&x, &agreed).await);
    Ok(Stream { x, id, agreed, subscription, queue: Vec::new(), opened: false, ended: false, _place: place })
}

/// The data of an error that says that the Tasks extension is needed.
pub(crate) fn tasks_needed() -> Value {
    json!({"requiredCapabilities": {"extensions": {protocol::latest::TASKS_EXTENSION: {}}}})
}

/// The part of the filter that the endpoint's upstreams can serve.
async fn agree(x: &Exchange, filter: &Object) -> Result<Agreed, RpcError> {
    let discover = x.endpoint.discover().await?;
    let offered = discover.get("capabilities").map(|c| c.to_value()).unwrap_or_default();
    let offers = |what: &str, how: &str| offered[what][how] == Value::Bool(true);
    let asks = |name: &str| filter.get(name).is_some_and(|v| v.as_bool() == Some(true));
    let mut agreed = Agreed {
        tools: asks("toolsListChanged") && offers("tools", "listChanged"),
        prompts: asks("promptsListChanged") && offers("prompts", "listChanged"),
        resources: asks("resourcesListChanged") && offers("resources", "listChanged"),
        uris: Vec::new(),
    };
    let uris = filter.get("resourceSubscriptions").map(|u| u.items());
    let limit = x.generation.limits.subscriptions_per_stream_max;
    let uris = match uris {
        None => Vec::new(),
        Some(Some(uris)) if uris.len() <= limit => uris,
        Some(Some(_)) => {
            return Err(RpcError::invalid_params(format!("Invalid params: more than {limit} resources")));
        }
        Some(None) => {
            return Err(RpcError::invalid_params(
                "Invalid params: \"resourceSubscriptions\" must be an array",
            ));
        }
    };
    if offers("resources", "subscribe") {
        agreed.uris = uris.iter().filter_map(|u| u.as_str().map(|u| Arc::from(&*u))).collect();
    }
    Ok(agreed)
}

/// The same, an upstream at a time.
async fn wanted(x: &Exchange, agreed: &Agreed) -> HashMap<String, Wanted> {
    let lists = Wanted {
        tools: agreed.tools,
        prompts: agreed.prompts,
        resources: agreed.resources,
        uris: BTreeSet::new(),
    };
    let mut all: HashMap<String, Wanted> = HashMap::new();
    for part in x.endpoint.parts() {
        all.insert(part.source.upstream().name().to_string(), lists.clone());
    }
    for uri in &agreed.uris {
        if let Some((part, own)) = x.endpoint.find_uri(&x.caller, uri).await {
            let name = x.endpoint.parts()[part].source.upstream().name().to_string();
            all.entry(name).or_default().uris.insert(Arc::from(own));
        }
    }
    all
}

/// One of the places for streams.
struct Place(Arc<App>);

impl Place {
    fn take(app: &Arc<App>, limit: usize) -> Option<Self> {
        let before = app.metrics.streams.inc();
        let place = Self(Arc::clone(app));
        usize::try_from(before).is_ok_and(|open| open < limit).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.metrics.streams.dec();
    }
}

/// A stream of changes.
pub(crate) struct Stream {
    x: Exchange,
    id: Id,
    agreed: Agreed,
    subscription: Subscription,
    queue: Vec<Bytes>,
    opened: bool,
    ended: bool,
    _place: Place,
}

impl Stream {
    /// The next message. `None`: the stream ended.
    pub async fn next_message(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.opened, true) {
            return Some(self.message(
                "notifications/subscriptions/acknowledged",
                json!({"notifications": self.accepted()}),
            ));
        }
        loop {
            if let Some(message) = self.queue.pop() {
                return Some(message);
            }
            if self.ended {
                return None;
            }
            let app = Arc::clone(&self.x.app);
            tokio::select! {
                change = self.subscription.next() => match change {
                    Some((_, change)) => self.take(&change),
                    None => return None,
                },
                () = app.drained() => {
                    self.ended = true;
                    return Some(self.last());
                }
            }
        }
    }

    /// The client's filter as far as it is granted.
    fn accepted(&self) -> Value {
        let mut accepted = json!({});
        let flags = [
            ("toolsListChanged", self.agreed.tools),
            ("promptsListChanged", self.agreed.prompts),
            ("resourcesListChanged", self.agreed.resources),
        ];
        for (name, granted) in flags {
            if granted {
                accepted[name] = json!(true);
            }
        }
        if !self.agreed.uris.is_empty() {
            accepted["resourceSubscriptions"] =
                json!(self.agreed.uris.iter().map(|u| &**u).collect::<Vec<_>>());
        }
        accepted
    }

    fn take(&mut self, change: &Change) {
        let gap = *change == Change::Gap;
        let lists = [
            (self.agreed.tools && (gap || *change == Change::Tools), "notifications/tools/list_changed"),
            (
                self.agreed.prompts && (gap || *change == Change::Prompts),
                "notifications/prompts/list_changed",
            ),
            (
                self.agreed.resources && (gap || *change == Change::Resources),
                "notifications/resources/list_changed",
            ),
        ];
        for (tell, method) in lists {
            if tell {
                let message = self.message(method, json!({}));
                self.queue.push(message);
            }
        }
        let updated: Vec<String> = match change {
            Change::Resource(uri) => vec![uri.to_string()],
            Change::Gap => self.agreed.uris.iter().map(ToString::to_string).collect(),
            _ => Vec::new(),
        };
        for uri in updated {
            let message = self.message("notifications/resources/updated", json!({"uri": uri}));
            self.queue.push(message);
        }
    }

    fn message(&self, method: &str, mut params: Value) -> Bytes {
        params["_meta"] = json!({meta::SUBSCRIPTION_ID: self.id.raw().to_value()});
        envelope::notification(method, Some(&Raw::from_value(&params)))
    }

    /// The response that ends the stream.
    fn last(&self) -> Bytes {
        let result =
            json!({"resultType": "complete", "_meta": {meta::SUBSCRIPTION_ID: self.id.raw().to_value()}});
        envelope::result(&self.id, &Raw::from_value(&result))
    }
}
