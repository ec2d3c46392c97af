//! A question as Cedar wants it: entities, their attributes and the circumstances.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use cedar_policy::{Context, Entities, Entity, EntityUid, Request, RestrictedExpression as Value};
use model::Timestamp;

use crate::arguments::Arguments;
use crate::names::{TYPES, principal_type, target_type, target_uid, uid, uid2};
use crate::{Action, Question, Target, ToolHints, Who};

/// Which facts policies look at, beside those that are cheap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Uses {
    /// The time or the day of the week.
    pub time: bool,
    /// Where the request came from.
    pub address: bool,
    /// Whether it becomes a task.
    pub task: bool,
    /// The arguments.
    pub arguments: bool,
    /// When the principal proved himself.
    pub issued: bool,
    /// What the target is called.
    pub name: bool,
}

impl Uses {
    /// Everything.
    pub const ALL: Self =
        Self { time: true, address: true, task: true, arguments: true, issued: true, name: true };

    /// Those of both.
    pub fn and(self, other: Self) -> Self {
        Self {
            time: self.time || other.time,
            address: self.address || other.address,
            task: self.task || other.task,
            arguments: self.arguments || other.arguments,
            issued: self.issued || other.issued,
            name: self.name || other.name,
        }
    }
}

/// What Cedar decides about.
#[derive(Debug)]
pub(crate) struct Facts {
    pub request: Request,
    pub entities: Entities,
}

/// An action and the group it is in.
static ACTIONS: LazyLock<HashMap<Action, (EntityUid, Entity)>> = LazyLock::new(|| {
    let entity = |action: Action| {
        let own = uid(&TYPES.action, action.name());
        let group = HashSet::from([uid(&TYPES.action, action.group())]);
        (action, (own.clone(), Entity::new_no_attrs(own, group)))
    };
    Action::ALL.into_iter().map(entity).collect()
});

/// The principal, once for many questions.
///
/// # Errors
/// What is wrong with him, in words.
pub(crate) fn principal(who: &Who<'_>) -> Result<Entity, String> {
    let kind = principal_type(who).ok_or_else(|| format!("there is no kind of principal {:?}", who.kind))?;
    let text = |text: &str| Value::new_string(text.to_owned());
    let texts = |list: &[String]| Value::new_set(list.iter().map(|item| text(item)));
    let mut attributes = HashMap::from([
        ("tenant".to_owned(), text(who.tenant)),
        ("subject".to_owned(), text(who.subject)),
        ("groups".to_owned(), texts(who.groups)),
        ("scopes".to_owned(), texts(who.scopes)),
        ("bound".to_owned(), Value::new_bool(who.bound)),
        ("actors".to_owned(), texts(who.actors)),
    ]);
    if let Some(client) = who.client {
        attributes.insert("client".to_owned(), Value::new_entity_uid(uid(&TYPES.client, client)));
    }
    if let Some(issuer) = who.issuer {
        attributes.insert("issuer".to_owned(), text(issuer));
    }
    if let Some(issued) = who.issued {
        attributes.insert("issued".to_owned(), datetime(issued));
    }
    let groups = who.groups.iter().map(|group| uid2(&TYPES.group, who.tenant, group));
    let parents = groups.chain([uid(&TYPES.tenant, who.tenant)]).collect();
    let own = uid2(kind, who.tenant, who.subject);
    Entity::new(own, attributes, parents).map_err(|error| error.to_string())
}

/// What is asked for.
fn target(question: &Question<'_>) -> Result<Entity, String> {
    let Target { endpoint, upstream, name, hints, labels } = question.target;
    let text = |text: &str| Value::new_string(text.to_owned());
    let kind = target_type(question.action, &question.target);
    let called = if *kind == TYPES.resource { "uri" } else { "name" };
    let mut attributes = HashMap::from([
        ("endpoint".to_owned(), text(endpoint)),
        ("upstream".to_owned(), text(upstream)),
        (called.to_owned(), text(name)),
        ("labels".to_owned(), Value::new_set(labels.iter().map(|label| text(label)))),
    ]);
    if *kind == TYPES.tool {
        let hints = plain_hints(hints).map(|(name, value)| (name.to_owned(), Value::new_bool(value)));
        attributes.extend(hints);
    }
    Entity::new(target_uid(question), attributes, target_parents(&question.target))
        .map_err(|error| error.to_string())
}

pub(crate) fn target_parents(target: &Target<'_>) -> HashSet<EntityUid> {
    let mut parents = HashSet::new();
    if !target.endpoint.is_empty() {
        parents.insert(uid(&TYPES.endpoint, target.endpoint));
    }
    if !target.upstream.is_empty() {
        parents.insert(uid(&TYPES.upstream, target.upstream));
    }
    parents
}

/// Hints as the protocol reads them where one is not given: the worst.
pub(crate) fn plain_hints(hints: ToolHints) -> [(&'static str, bool); 4] {
    let read_only = hints.read_only.unwrap_or(false);
    [
        ("readOnly", read_only),
        ("destructive", hints.destructive.unwrap_or(!read_only)),
        ("idempotent", hints.idempotent.unwrap_or(false)),
        ("openWorld", hints.open_world.unwrap_or(true)),
    ]
}

/// The facts of a question. What no policy looks at is left out where it costs something.
///
/// # Errors
/// What is wrong with them, in words.
pub(crate) fn facts(
    question: &Question<'_>,
    principal: &Entity,
    arguments: &Arguments,
    uses: Uses,
) -> Result<Facts, String> {
    let target = target(question)?;
    let (action, action_entity) = ACTIONS.get(&question.action).ok_or("there is no such action")?;
    let context = context(question, arguments, uses)?;
    let request = Request::new(principal.uid(), action.clone(), target.uid(), context, None)
        .map_err(|error| error.to_string())?;
    let entities = [principal.clone(), target, action_entity.clone()];
    let entities = Entities::from_entities(entities, None).map_err(|error| error.to_string())?;
    Ok(Facts { request, entities })
}

fn context(question: &Question<'_>, arguments: &Arguments, uses: Uses) -> Result<Context, String> {
    let circumstances = &question.circumstances;
    let mut pairs = vec![("task".to_owned(), Value::new_bool(circumstances.task))];
    if uses.arguments {
        let record = Value::new_record(arguments.seen.iter().cloned()).map_err(|error| error.to_string())?;
        pairs.push(("arguments".to_owned(), record));
    }
    if uses.time {
        pairs.push(("now".to_owned(), datetime(circumstances.now)));
        pairs.push(("weekday".to_owned(), Value::new_string(weekday(circumstances.now).to_owned())));
    }
    if let Some(address) = circumstances.address.filter(|_| uses.address) {
        // An IPv4 address that came in by a socket of the other kind is the same address.
        pairs.push(("address".to_owned(), Value::new_ip(address.to_canonical().to_string())));
    }
    Context::from_pairs(pairs).map_err(|error| error.to_string())
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// The day of the week, in UTC.
fn weekday(at: Timestamp) -> &'static str {
    // The first of January 1970 was a Thursday.
    match (at.0 / DAY_MS) % 7 {
        0 => "thursday",
        1 => "friday",
        2 => "saturday",
        3 => "sunday",
        4 => "monday",
        5 => "tuesday",
        _ => "wednesday",
    }
}

fn datetime(at: Timestamp) -> Value {
    Value::new_datetime(seal::time_to_text(at))
}
