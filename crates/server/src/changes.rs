//! What one client hears of: from an upstream's words to those that the client knows.

use std::collections::HashMap;
use std::sync::Arc;

use protocol::Raw;
use serde_json::{Value, json};
use upstream::Change;

use crate::app::Exchange;
use crate::hub::{Heard, Wanted, is_within};
use crate::may::{self, may_watch};

/// The lists whose changes a client wants to hear of.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lists {
    pub tools: bool,
    pub prompts: bool,
    pub resources: bool,
}

impl Lists {
    /// The lists whose changes an endpoint tells of, by its capabilities.
    pub fn offered(capabilities: &Value) -> Self {
        let offers = |what: &str| capabilities[what]["listChanged"] == Value::Bool(true);
        Self { tools: offers("tools"), prompts: offers("prompts"), resources: offers("resources") }
    }
}

/// A resource or a task, as its upstream and as the client knows it.
#[derive(Debug, Clone)]
struct Thing {
    upstream: Arc<str>,
    own: Arc<str>,
    given: Arc<str>,
}

impl Thing {
    fn is_of(&self, upstream: Option<&str>) -> bool {
        upstream.is_none_or(|upstream| *self.upstream == *upstream)
    }
}

/// All that one client hears of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watch {
    pub lists: Lists,
    upstreams: Vec<Arc<str>>,
    resources: Vec<Thing>,
    tasks: Vec<Thing>,
}

impl Watch {
    /// Of these lists and resources; what nobody here has, or the caller may not read, is left out.
    pub async fn find(x: &Exchange, lists: Lists, uris: impl IntoIterator<Item = Arc<str>>) -> Self {
        let parts = x.endpoint.parts();
        let upstreams: Vec<Arc<str>> =
            parts.iter().map(|p| Arc::from(p.source.upstream().name().as_str())).collect();
        let mut resources = Vec::new();
        for given in uris {
            if let Some((part, own)) = x.endpoint.find_uri(&x.caller, &given).await {
                let upstream = Arc::clone(&upstreams[part]);
                if !may_watch(x, &upstream, &own) {
                    continue;
                }
                resources.push(Thing { upstream, own: Arc::from(own), given });
            }
        }
        Self { lists, upstreams, resources, tasks: Vec::new() }
    }

    /// The same under another configuration, whose upstreams may be others.
    pub async fn renewed(&self, x: &Exchange) -> Self {
        let uris: Vec<_> = self.resources.iter().map(|thing| Arc::clone(&thing.given)).collect();
        // Its policies may be others, too.
        let tasks = self.tasks.iter().filter(|thing| may::may_use(x, &thing.upstream, ""));
        Self { tasks: tasks.cloned().collect(), ..Self::find(x, self.lists, uris).await }
    }

    /// Also of a task.
    pub fn add_task(&mut self, upstream: &str, own: &str, given: &str) {
        let thing = Thing { upstream: Arc::from(upstream), own: Arc::from(own), given: Arc::from(given) };
        self.tasks.push(thing);
    }

    /// The resources that it hears of, as the client named them.
    pub fn uris(&self) -> impl Iterator<Item = &str> {
        self.resources.iter().map(|thing| &*thing.given)
    }

    /// The tasks that it hears of, as the client named them.
    pub fn tasks(&self) -> impl Iterator<Item = &str> {
        self.tasks.iter().map(|thing| &*thing.given)
    }

    /// The same, an upstream at a time.
    pub fn wanted(&self) -> HashMap<String, Wanted> {
        let Lists { tools, prompts, resources } = self.lists;
        let lists = Wanted { tools, prompts, resources, ..Wanted::default() };
        let mut all: HashMap<String, Wanted> =
            self.upstreams.iter().map(|name| (name.to_string(), lists.clone())).collect();
        for thing in &self.resources {
            all.entry(thing.upstream.to_string()).or_default().uris.insert(Arc::clone(&thing.own));
        }
        for thing in &self.tasks {
            all.entry(thing.upstream.to_string()).or_default().tasks.insert(Arc::clone(&thing.own));
        }
        all
    }

    /// What the client is told of a change: methods and parameters, in order.
    pub fn messages(&self, heard: &Heard) -> Vec<(&'static str, Option<Raw>)> {
        let (change, upstream) = (&heard.change, heard.upstream.as_deref());
        let gap = *change == Change::Gap;
        let lists = [
            (self.lists.tools, Change::Tools, "notifications/tools/list_changed"),
            (self.lists.prompts, Change::Prompts, "notifications/prompts/list_changed"),
            (self.lists.resources, Change::Resources, "notifications/resources/list_changed"),
        ];
        let mut all: Vec<(&'static str, Option<Raw>)> = lists
            .into_iter()
            .filter(|(wanted, kind, _)| *wanted && (gap || change == kind))
            .map(|(_, _, method)| (method, None))
            .collect();
        match change {
            Change::Resource(uri) => all.extend(self.updated(upstream, uri)),
            Change::Gap => all.extend(
                self.resources.iter().filter(|thing| thing.is_of(upstream)).map(|thing| update(&thing.given)),
            ),
            Change::Task(id, params) => all.extend(self.task(upstream, id, params)),
            _ => {}
        }
        all
    }

    /// A change may be one of several subscriptions, but it is told of once.
    fn updated(&self, upstream: Option<&str>, uri: &str) -> Option<(&'static str, Option<Raw>)> {
        let fits = self.resources.iter().filter(|t| t.is_of(upstream) && is_within(uri, &t.own));
        let thing = fits.max_by_key(|thing| thing.own.len())?;
        Some(update(&format!("{}{}", thing.given, &uri[thing.own.len()..])))
    }

    fn task(&self, upstream: Option<&str>, id: &str, params: &Raw) -> Option<(&'static str, Option<Raw>)> {
        let thing = self.tasks.iter().find(|thing| thing.is_of(upstream) && *thing.own == *id)?;
        let params = params.object().ok().flatten()?;
        let params = params.edit().set("taskId", Raw::string(&thing.given)).finish();
        Some(("notifications/tasks", Some(params)))
    }
}

fn update(uri: &str) -> (&'static str, Option<Raw>) {
    ("notifications/resources/updated", Some(Raw::from_value(&json!({"uri": uri}))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thing(upstream: &str, own: &str, given: &str) -> Thing {
        Thing { upstream: Arc::from(upstream), own: Arc::from(own), given: Arc::from(given) }
    }

    fn heard(upstream: &str, change: Change) -> Heard {
        Heard { upstream: Some(Arc::from(upstream)), change }
    }

    fn texts(watch: &Watch, heard: &Heard) -> Vec<String> {
        let one = |(method, params): (&str, Option<Raw>)| {
            format!("{method} {}", params.map_or_else(|| "-".to_owned(), |p| p.to_value().to_string()))
        };
        watch.messages(heard).into_iter().map(one).collect()
    }

    #[test]
    fn a_resource_that_was_wrapped_is_told_of_under_the_name_that_the_client_used() {
        let resources = vec![thing("a", "x://n", "x://n"), thing("b", "x://n", "tidegate://b/x://n")];
        let watch = Watch { resources, ..Watch::default() };
        let of = |upstream: &str, uri: &str| {
            texts(&watch, &heard(upstream, Change::Resource(Arc::from(uri)))).join("; ")
        };
        assert_eq!(of("a", "x://n"), r#"notifications/resources/updated {"uri":"x://n"}"#);
        assert_eq!(of("b", "x://n"), r#"notifications/resources/updated {"uri":"tidegate://b/x://n"}"#);
        assert_eq!(of("b", "x://n/1"), r#"notifications/resources/updated {"uri":"tidegate://b/x://n/1"}"#);
        assert_eq!(of("c", "x://n"), "");
    }

    #[test]
    fn a_gap_tells_of_everything_that_may_have_changed_there() {
        let resources = vec![thing("a", "x://n", "x://n"), thing("b", "y://n", "y://n")];
        let lists = Lists { tools: true, ..Lists::default() };
        let watch = Watch { lists, resources, ..Watch::default() };
        let tools = "notifications/tools/list_changed -";
        let updated = |uri: &str| format!(r#"notifications/resources/updated {{"uri":"{uri}"}}"#);
        assert_eq!(texts(&watch, &heard("a", Change::Gap)), [tools.to_owned(), updated("x://n")]);
        let anywhere = Heard { upstream: None, change: Change::Gap };
        assert_eq!(texts(&watch, &anywhere), [tools.to_owned(), updated("x://n"), updated("y://n")]);
    }

    #[test]
    fn a_task_is_told_of_under_its_sealed_id_and_with_everything_else_as_it_came() {
        let watch = Watch { tasks: vec![thing("a", "t-1", "sealed")], ..Watch::default() };
        let params = Raw::from_value(&json!({"taskId": "t-1", "status": "working", "x": [1]}));
        let change = Change::Task(Arc::from("t-1"), params);
        let told = texts(&watch, &heard("a", change.clone())).join("; ");
        assert!(told.starts_with("notifications/tasks "), "{told}");
        assert!(told.contains(r#""taskId":"sealed""#) && told.contains(r#""x":[1]"#), "{told}");
        assert!(texts(&watch, &heard("b", change)).is_empty());
    }
}
