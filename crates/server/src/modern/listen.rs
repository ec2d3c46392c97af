//! `subscriptions/listen`: a stream of changes (basic/patterns/subscriptions).

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use protocol::json::Object;
use protocol::latest::meta;
use protocol::{Call, Id, Raw, RpcError, code, envelope, sse};
use serde_json::{Value, json};
use upstream::Change;

use crate::answer::{self, Accepts, Answer};
use crate::app::{App, Exchange};
use crate::changes::{Lists, Watch};
use crate::drain::{self, Phase};
use crate::hosted::{Feed, OWN};
use crate::hub::{Heard, Subscription};
use crate::may;
use crate::note::aside::Told;
use crate::overload::{Reason, Shed, Stage};
use crate::trace::Operation;

/// Opens the stream; its first message says what will come.
pub(crate) async fn listen(x: Exchange, id: Id, call: &Call) -> Result<Answer, RpcError> {
    if !Accepts::read(&x.headers).events {
        return Err(RpcError::invalid_request("Accept must name text/event-stream to listen"));
    }
    let stream = open(x, id, call).await?;
    Ok(answer::events(Box::pin(futures_util::stream::unfold(stream, |mut stream| async move {
        let message = stream.next_message().await?;
        let mut event = sse::event(None, &message);
        if let Some(farewell) = stream.ended.then(|| stream.x.app.farewell()).flatten() {
            event = [farewell, event].concat().into();
        }
        Some((Ok(event), stream))
    }))))
}

/// Opens the stream of messages, however they travel.
pub(crate) async fn open(x: Exchange, id: Id, call: &Call) -> Result<Stream, RpcError> {
    let operation = Operation::begin(&x, call);
    let name = operation.recorded_as();
    let opened = start(x, id, call).await;
    let mut stream = operation.over(opened).await?;
    stream.told.operation = name;
    Ok(stream)
}

async fn start(x: Exchange, id: Id, call: &Call) -> Result<Stream, RpcError> {
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
    if x.app.has_reached(Phase::Draining) {
        return Err(drain::too_late());
    }
    if x.app.memory.stage() >= Stage::Soft {
        x.app.metrics.shed(Reason::Memory.as_str());
        return Err(Shed::memory().to_rpc());
    }
    let limit = x.generation.limits.streams_max;
    let Some(place) = Place::take(&x.app, limit) else {
        let text =
            format!("As many streams as allowed are open (limit {limit}, streams_max): try again later");
        return Err(RpcError::new(code::LIMIT, text));
    };
    let (watch, own) = agree(&x, &filter).await?;
    let subscription = x.app.hub.subscribe(watch.wanted()).await;
    let (queue, x) = (VecDeque::new(), x.unplaced());
    let feed = Feed::of(&x, own);
    Ok(Stream {
        x,
        id,
        watch,
        feed,
        subscription,
        queue,
        told: Told::default(),
        opened: false,
        ended: false,
        _place: place,
    })
}

/// The data of an error that says that the Tasks extension is needed.
pub(crate) fn tasks_needed() -> Value {
    json!({"requiredCapabilities": {"extensions": {protocol::latest::TASKS_EXTENSION: {}}}})
}

/// The part of the filter that the endpoint's upstreams can serve, and the tasks that are the gateway's own:
/// its name and the client's.
async fn agree(x: &Exchange, filter: &Object) -> Result<(Watch, Vec<(String, String)>), RpcError> {
    let discover = x.endpoint.discover(&x.caller.principal).await?;
    let capabilities = discover.get("capabilities").map(|c| c.to_value()).unwrap_or_default();
    let offered = Lists::offered(&capabilities);
    let asks = |name: &str| match filter.get(name).map(|v| v.as_bool()) {
        None => Ok(false),
        Some(Some(asked)) => Ok(asked),
        Some(None) => {
            Err(RpcError::invalid_params(format!("Invalid params: \"{name}\" must be true or false")))
        }
    };
    let lists = Lists {
        tools: asks("toolsListChanged")? && offered.tools,
        prompts: asks("promptsListChanged")? && offered.prompts,
        resources: asks("resourcesListChanged")? && offered.resources,
    };
    let max = x.generation.limits.subscriptions_per_stream_max;
    let mut uris = strings(filter, "resourceSubscriptions", max)?;
    if capabilities["resources"]["subscribe"] != Value::Bool(true) {
        uris.clear();
    }
    let tasks = strings(filter, "taskIds", max)?;
    let mut watch = Watch::find(x, lists, uris).await;
    let mut hosted = Vec::new();
    for sealed in tasks {
        // An id that means nothing here is left out, as a resource is that nobody has; and so is one that may
        // not be asked for.
        let Ok((upstream, own)) = x.app.handles.open_task(x.holder(), &sealed) else { continue };
        if may::may_use_task(x, &upstream, &own).await.is_err() {
            continue;
        }
        if upstream == OWN {
            hosted.push((own, sealed.to_string()));
        } else if tells_of_tasks(x, &upstream).await {
            watch.add_task(&upstream, &own, &sealed);
        }
    }
    Ok((watch, hosted))
}

/// Whether an upstream can tell of its tasks.
async fn tells_of_tasks(x: &Exchange, upstream: &str) -> bool {
    let Some(source) = x.endpoint.source(upstream, &x.caller.principal) else { return false };
    let spoken = source.upstream().discovery().await;
    spoken.is_ok_and(|spoken| spoken.revision.era() == protocol::Era::Modern)
}

/// The strings of a member of the filter.
fn strings(filter: &Object, name: &str, max: usize) -> Result<Vec<Arc<str>>, RpcError> {
    let invalid = |what: String| RpcError::invalid_params(format!("Invalid params: {what}"));
    let wrong = || invalid(format!("\"{name}\" must be an array of strings"));
    let Some(member) = filter.get(name) else { return Ok(Vec::new()) };
    let items = member.items().ok_or_else(wrong)?;
    if items.len() > max {
        let text = format!("more than {max} entries in \"{name}\" (limit subscriptions_per_stream_max)");
        return Err(invalid(text));
    }
    items.iter().map(|item| item.as_str().map(|text| Arc::from(&*text)).ok_or_else(wrong)).collect()
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

impl Drop for Stream {
    fn drop(&mut self) {
        self.told.over(&self.x);
    }
}

/// A stream of changes.
pub(crate) struct Stream {
    x: Exchange,
    id: Id,
    watch: Watch,
    feed: Feed,
    subscription: Subscription,
    queue: VecDeque<Bytes>,
    told: Told,
    opened: bool,
    ended: bool,
    _place: Place,
}

impl Stream {
    /// The next message. `None`: the stream ended.
    pub async fn next_message(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.opened, true) {
            let params = Raw::from_value(&json!({"notifications": self.accepted()}));
            return Some(self.message("notifications/subscriptions/acknowledged", Some(&params)));
        }
        loop {
            if let Some(message) = self.queue.pop_front() {
                return Some(message);
            }
            if self.ended {
                return None;
            }
            let app = Arc::clone(&self.x.app);
            tokio::select! {
                change = self.subscription.next() => match change {
                    Some(heard) => self.enqueue(&heard),
                    None => return None,
                },
                params = self.feed.next() => {
                    let message = self.message("notifications/tasks", Some(&params));
                    self.told.count("notifications/tasks");
                    self.queue.push_back(message);
                }
                generation = app.newer(self.x.generation.number) => {
                    if !self.x.move_to(generation) {
                        self.ended = true;
                        return Some(self.last());
                    }
                    self.watch = self.watch.renewed(&self.x).await;
                    self.subscription.replace(self.watch.wanted()).await;
                    let anything = Heard { upstream: None, change: Change::Gap };
                    self.enqueue(&anything);
                }
                () = app.reached(Phase::Draining) => {
                    self.ended = true;
                    return Some(self.last());
                }
                // Without a response: nobody has come to an end here (draft, "Authorization lifetime").
                () = self.x.expired() => {
                    self.ended = true;
                    return None;
                }
            }
        }
    }

    /// What the client is told of a change.
    fn enqueue(&mut self, heard: &Heard) {
        for (method, params) in self.watch.messages(heard) {
            let message = self.message(method, params.as_ref());
            self.told.count(method);
            self.queue.push_back(message);
        }
    }

    /// The client's filter as far as it is granted.
    fn accepted(&self) -> Value {
        let mut accepted = json!({});
        let lists = self.watch.lists;
        let flags = [
            ("toolsListChanged", lists.tools),
            ("promptsListChanged", lists.prompts),
            ("resourcesListChanged", lists.resources),
        ];
        for (name, _) in flags.into_iter().filter(|(_, granted)| *granted) {
            accepted[name] = json!(true);
        }
        let uris: Vec<&str> = self.watch.uris().collect();
        let tasks: Vec<&str> = self.watch.tasks().chain(self.feed.given()).collect();
        for (name, granted) in [("resourceSubscriptions", uris), ("taskIds", tasks)] {
            if !granted.is_empty() {
                accepted[name] = json!(granted);
            }
        }
        accepted
    }

    /// A notification of this stream; whatever else its `_meta` says stays.
    fn message(&self, method: &str, params: Option<&Raw>) -> Bytes {
        let object = |raw: Option<&Raw>| raw.and_then(|r| r.object().ok().flatten());
        let params = object(params).unwrap_or_else(Object::empty);
        let entries = object(params.get("_meta").as_ref()).unwrap_or_else(Object::empty);
        let entries = entries.edit().set(meta::SUBSCRIPTION_ID, self.id.raw().clone()).finish();
        envelope::notification(method, Some(&params.edit().set("_meta", entries).finish()))
    }

    /// The response that ends the stream.
    fn last(&self) -> Bytes {
        let result =
            json!({"resultType": "complete", "_meta": {meta::SUBSCRIPTION_ID: self.id.raw().to_value()}});
        envelope::result(&self.id, &Raw::from_value(&result))
    }
}
