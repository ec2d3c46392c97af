//! Descriptions: the entries of lists.

use std::collections::HashMap;

use catalog::Kind;
use protocol::json::{Object, array};
use protocol::{Method, Raw, RpcError, code};
use serde_json::json;

use super::because;
use super::passing::Shape;
use super::rule::{Asked, Blocked, Look, Made, Part, Place, Rule};
use crate::app::Exchange;

/// A list that is looked at.
struct List<'a> {
    x: &'a Exchange,
    kind: Kind,
    method: Method,
}

/// Looks at the entries of a list. One in which detectors find something is blanked or left out; somebody
/// else is shown all entries at once, and changes them, leaves some out, or does not allow the list.
///
/// # Errors
/// Where the list is not allowed.
pub(crate) async fn listed(x: &Exchange, kind: Kind, list: Raw) -> Result<Raw, RpcError> {
    let mut rules = x.generation.checks.on(Part::Descriptions).peekable();
    if rules.peek().is_none() {
        return Ok(list);
    }
    let Some(object) = list.object().ok().flatten() else { return Ok(list) };
    let Some(items) = object.get(kind.member()).and_then(|items| items.items()) else { return Ok(list) };
    let own = List { x, kind, method: kind.method() };
    let (mut judged, mut others) = (items.clone(), false);
    for rule in rules {
        judged = match &rule.look {
            Look::Detectors(_) => own.each(rule, judged).await,
            Look::Remote(_) => {
                others = true;
                own.at_once(rule, judged).await.map_err(|blocked| refused(&blocked))?
            }
        };
    }
    let mut edit = object.edit();
    if judged != items {
        edit = edit.set(kind.member(), array(&judged));
    }
    if others {
        // What somebody says for one caller is for no other.
        edit = edit.set("cacheScope", Raw::literal("\"private\""));
    }
    Ok(if others || judged != items { edit.finish() } else { list })
}

impl List<'_> {
    fn name(&self, item: &Raw) -> String {
        item.get(self.kind.key())
            .and_then(|name| name.as_str().map(|name| name.into_owned()))
            .unwrap_or_default()
    }

    /// Entries of several upstreams stand in one list: a rule for one upstream goes by their given names.
    fn asked<'a>(&'a self, name: &'a str) -> Asked<'a> {
        Asked {
            x: self.x,
            part: Part::Descriptions,
            place: Place { endpoint: self.x.endpoint.name(), upstream: "", name },
            method: &self.method,
            shape: Shape::List(self.kind),
        }
    }

    async fn each(&self, rule: &Rule, items: Vec<Raw>) -> Vec<Raw> {
        let mut left = Vec::with_capacity(items.len());
        for item in items {
            let name = self.name(&item);
            let asked = self.asked(&name);
            if !rule.fits(asked.part, &asked.place) {
                left.push(item);
                continue;
            }
            match rule.judge(&asked, &item).await {
                Made::Pass => left.push(item),
                Made::Changed(item) => left.push(item),
                Made::Blocked(_) => {}
            }
        }
        left
    }

    /// Shows the entries that the rule is for.
    async fn at_once(&self, rule: &Rule, items: Vec<Raw>) -> Result<Vec<Raw>, Blocked> {
        let fits = |item: &Raw| {
            let name = self.name(item);
            let asked = self.asked(&name);
            rule.fits(asked.part, &asked.place)
        };
        let shown: Vec<Raw> = items.iter().filter(|item| fits(item)).cloned().collect();
        if shown.is_empty() {
            return Ok(items);
        }
        let text = Object::empty().edit().set(self.kind.member(), array(&shown)).finish();
        let made = match rule.judge(&self.asked(""), &text).await {
            Made::Pass => return Ok(items),
            Made::Blocked(blocked) => return Err(blocked),
            Made::Changed(made) => made.get(self.kind.member()).and_then(|made| made.items()),
        };
        // Whatever came back has names that were shown, each at most once.
        let mut made: HashMap<String, Raw> =
            made.unwrap_or_default().into_iter().map(|item| (self.name(&item), item)).collect();
        let left = items.into_iter().filter_map(|item| match fits(&item) {
            true => made.remove(&self.name(&item)),
            false => Some(item),
        });
        Ok(left.collect())
    }
}

fn refused(blocked: &Blocked) -> RpcError {
    let text = format!("The list is withheld: {}", because(blocked, "it"));
    RpcError::new(code::INTERNAL, text).with(json!({
        "reason": "withheld_by_check", "check": blocked.rule, "fault": "gateway", "retry": "safe",
    }))
}
