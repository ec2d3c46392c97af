//! What the conditions of a policy look at, read from its JSON form.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::arguments::ArgumentType;
use crate::facts::Uses;

/// What conditions look at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reads {
    /// Which facts.
    pub uses: Uses,
    /// Which arguments: paths of members.
    pub arguments: BTreeSet<Vec<String>>,
    /// Which upstreams and endpoints it compares names with.
    pub named: BTreeSet<(&'static str, String)>,
}

impl Reads {
    /// What the conditions of a policy look at.
    pub fn of(policy: &Value) -> Self {
        let mut found = Self::default();
        for condition in policy.get("conditions").and_then(Value::as_array).into_iter().flatten() {
            found.walk(condition.get("body").unwrap_or(&Value::Null));
        }
        found
    }

    /// The members of the arguments that it reads first.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        self.arguments.iter().filter_map(|path| path.first()).map(String::as_str)
    }

    /// Whether it reads all arguments at once.
    pub fn all_arguments(&self) -> bool {
        self.arguments.iter().any(Vec::is_empty)
    }

    fn walk(&mut self, value: &Value) {
        let record = match value {
            Value::Array(items) => return items.iter().for_each(|item| self.walk(item)),
            Value::Object(record) => record,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return,
        };
        for (operator, operands) in record {
            match operator.as_str() {
                "Var" => self.whole(operands.as_str().unwrap_or_default()),
                "Value" => {}
                "." | "has" => match path(value) {
                    Some((variable, path)) => self.path(variable, path),
                    None => self.walk(operands.get("left").unwrap_or(&Value::Null)),
                },
                _ => {
                    if operator == "==" || operator == "!=" {
                        self.compared(operands);
                    }
                    self.walk(operands);
                }
            }
        }
    }

    fn whole(&mut self, variable: &str) {
        match variable {
            "context" => {
                self.uses = self.uses.and(Uses::ALL);
                self.arguments.insert(Vec::new());
            }
            "resource" => self.uses.name = true,
            _ => {}
        }
    }

    fn path(&mut self, variable: &str, path: Vec<String>) {
        match (variable, path.first().map(String::as_str)) {
            ("context", Some("now" | "weekday")) => self.uses.time = true,
            ("context", Some("address")) => self.uses.address = true,
            ("context", Some("task")) => self.uses.task = true,
            ("context", Some("arguments")) => {
                self.uses.arguments = true;
                self.arguments.insert(path.into_iter().skip(1).collect());
            }
            ("context", _) => self.whole("context"),
            ("principal", Some("issued")) => self.uses.issued = true,
            ("resource", Some("name" | "uri")) => self.uses.name = true,
            _ => {}
        }
    }

    /// Remembers `resource.upstream == "crm"`.
    fn compared(&mut self, operands: &Value) {
        for (one, other) in [("left", "right"), ("right", "left")] {
            let (Some(one), Some(other)) = (operands.get(one), operands.get(other)) else { continue };
            let (Some(("resource", path)), Some(text)) =
                (path(one), other.get("Value").and_then(Value::as_str))
            else {
                continue;
            };
            for kind in ["upstream", "endpoint"] {
                if path.as_slice() == [kind] {
                    self.named.insert((kind, text.to_owned()));
                }
            }
        }
    }
}

/// The variable and the members of `context.arguments.amount`; `has` counts as the member it asks for.
fn path(value: &Value) -> Option<(&str, Vec<String>)> {
    if let Some(variable) = value.get("Var").and_then(Value::as_str) {
        return Some((variable, Vec::new()));
    }
    let step = value.get(".").or_else(|| value.get("has"))?;
    let (variable, mut members) = path(step.get("left")?)?;
    members.push(step.get("attr")?.as_str()?.to_owned());
    Some((variable, members))
}

/// The member at the end of a path that was not declared; `None` where all of them were.
pub(crate) fn undeclared(path: &[String], declared: &BTreeMap<String, ArgumentType>) -> Option<String> {
    let (first, rest) = path.split_first()?;
    match declared.get(first) {
        None => Some(first.clone()),
        Some(ArgumentType::Record(members)) => {
            undeclared(rest, members).map(|member| format!("{first}.{member}"))
        }
        Some(_) if rest.is_empty() => None,
        Some(_) => Some(path.join(".")),
    }
}

/// The permit as it counts where something is only to be seen and there are no arguments yet: with every
/// part of its conditions that reads arguments taken as fulfilled. `None`: no part does.
pub(crate) fn without_arguments(policy: &Value) -> Value {
    let mut policy = policy.clone();
    for condition in policy.get_mut("conditions").and_then(Value::as_array_mut).into_iter().flatten() {
        let unless = condition.get("kind").and_then(Value::as_str) == Some("unless");
        if let Some(body) = condition.get_mut("body") {
            *body = fulfilled(body, unless);
        }
    }
    policy
}

fn fulfilled(expression: &Value, unless: bool) -> Value {
    let mut reads = Reads::default();
    reads.walk(expression);
    if !reads.uses.arguments {
        return expression.clone();
    }
    let joint = if unless { "||" } else { "&&" };
    match expression.get(joint) {
        Some(sides) => {
            let side = |name| fulfilled(sides.get(name).unwrap_or(&Value::Null), unless);
            serde_json::json!({ joint: { "left": side("left"), "right": side("right") } })
        }
        None => serde_json::json!({ "Value": !unless }),
    }
}
