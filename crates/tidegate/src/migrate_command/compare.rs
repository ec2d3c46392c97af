//! What differs between two definitions of a tool, and between two answers.

use protocol::code;
use serde_json::{Map, Value};

/// How many differences of one thing are told.
const TOLD_MAX: usize = 20;

/// Members of results in which gateways speak of themselves.
const OF_GATEWAYS: [&str; 1] = ["_meta"];

/// Errors that say that there was no answer: two of them are not the same answer, and nothing was compared.
const NO_ANSWERS: [i64; 9] = [
    code::UPSTREAM_UNREACHABLE,
    code::UPSTREAM_REVISION,
    code::UPSTREAM_BROKE,
    code::UPSTREAM_TIMEOUT,
    code::UPSTREAM_INVALID,
    code::LIMIT,
    code::PARKED_GONE,
    code::SESSION_GONE,
    code::UNRECORDED,
];

/// A place at which two values differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Where, as a JSON pointer; empty for the whole.
    pub at: String,
    /// What is there. `None`: nothing.
    pub old: Option<Value>,
    /// What is here. `None`: nothing.
    pub new: Option<Value>,
}

/// What a call was answered with.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A result.
    Result(Value),
    /// An error of the protocol.
    Error(i64, String),
    /// Nobody was asked: why.
    NotAsked(&'static str),
}

/// What is not looked at.
#[derive(Debug, Default)]
pub struct Ignored {
    /// Members of a tool's definition.
    pub members: Vec<String>,
    /// Places in results, as JSON pointers; what is below one is not looked at either.
    pub pointers: Vec<String>,
}

impl Ignored {
    /// From the words of the command line: one that begins with a slash is a place in results.
    pub fn of(words: &[String]) -> Self {
        let (pointers, members) = words.iter().cloned().partition(|word| word.starts_with('/'));
        Self { members, pointers }
    }
}

/// What differs between two definitions, names aside.
pub fn tools(old: &Value, new: &Value, ignored: &Ignored) -> Vec<Difference> {
    let strip = |tool: &Value| {
        let mut tool = tool.clone();
        if let Some(members) = tool.as_object_mut() {
            members.retain(|key, _| key != "name" && !is_of_gateways(key) && !ignored.members.contains(key));
            usual_title(members);
        }
        tool
    };
    let mut found = Vec::new();
    differ("", &strip(old), &strip(new), &[], &mut found);
    found
}

/// Older servers keep a title among the annotations; some gateways move it.
fn usual_title(tool: &mut Map<String, Value>) {
    if !tool.contains_key("title")
        && let Some(title) =
            tool.get_mut("annotations").and_then(Value::as_object_mut).and_then(|a| a.remove("title"))
    {
        tool.insert("title".to_owned(), title);
    }
    if tool.get("annotations").and_then(Value::as_object).is_some_and(Map::is_empty) {
        tool.remove("annotations");
    }
    // What is absent and what is null mean the same in a definition.
    tool.retain(|_, value| !value.is_null());
}

/// What differs between two answers.
pub fn answers(old: &Answer, new: &Answer, ignored: &Ignored) -> Vec<Difference> {
    let mut found = Vec::new();
    match (old, new) {
        (Answer::Result(old), Answer::Result(new)) => {
            differ("", &plain(old), &plain(new), &ignored.pointers, &mut found);
        }
        // Texts of errors are for people: gateways and SDKs word them in their own ways.
        (Answer::Error(old, _), Answer::Error(new, _)) if old == new && !NO_ANSWERS.contains(old) => {}
        (old, new) => {
            found.push(Difference { at: String::new(), old: Some(told(old)), new: Some(told(new)) })
        }
    }
    found
}

fn told(answer: &Answer) -> Value {
    match answer {
        Answer::Result(result) => plain(result),
        Answer::Error(code, message) => serde_json::json!({"error": {"code": code, "message": message}}),
        Answer::NotAsked(why) => serde_json::json!({ "notAsked": why }),
    }
}

/// A result without what belongs to whoever passed it on, and with what is implied.
fn plain(result: &Value) -> Value {
    let mut result = result.clone();
    if let Some(members) = result.as_object_mut() {
        members.retain(|key, value| {
            let implied = match key.as_str() {
                "isError" => *value == false,
                "resultType" => *value == "complete",
                _ => value.is_null(),
            };
            !implied && !value.is_null() && !is_of_gateways(key)
        });
        for block in members.get_mut("content").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(block) = block.as_object_mut() {
                block.retain(|key, value| !is_of_gateways(key) && !value.is_null());
            }
        }
    }
    result
}

fn is_of_gateways(key: &str) -> bool {
    OF_GATEWAYS.contains(&key)
}

fn differ(at: &str, old: &Value, new: &Value, ignored: &[String], found: &mut Vec<Difference>) {
    if found.len() >= TOLD_MAX || ignored.iter().any(|one| one == at) || same_number(old, new) {
        return;
    }
    match (old, new) {
        (Value::Object(olds), Value::Object(news)) => {
            for (key, old) in olds {
                let at = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                match news.get(key) {
                    Some(new) => differ(&at, old, new, ignored, found),
                    None => lone(&at, Some(old), None, ignored, found),
                }
            }
            for (key, new) in news.iter().filter(|(key, _)| !olds.contains_key(*key)) {
                let at = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                lone(&at, None, Some(new), ignored, found);
            }
        }
        (Value::Array(olds), Value::Array(news)) => {
            for index in 0..olds.len().max(news.len()) {
                let at = format!("{at}/{index}");
                match (olds.get(index), news.get(index)) {
                    (Some(old), Some(new)) => differ(&at, old, new, ignored, found),
                    (old, new) => lone(&at, old, new, ignored, found),
                }
            }
        }
        (old, new) if old == new => {}
        (old, new) => lone(at, Some(old), Some(new), ignored, found),
    }
}

fn lone(at: &str, old: Option<&Value>, new: Option<&Value>, ignored: &[String], found: &mut Vec<Difference>) {
    if found.len() < TOLD_MAX && !ignored.iter().any(|one| one == at) {
        found.push(Difference { at: at.to_owned(), old: old.cloned(), new: new.cloned() });
    }
}

/// Whether both are the same number, however it is written: `1` and `1.0`.
fn same_number(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Number(old), Value::Number(new)) => {
            old == new || (old.as_f64() == new.as_f64() && !(old.is_i64() && new.is_i64()))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn places(found: &[Difference]) -> Vec<&str> {
        found.iter().map(|one| one.at.as_str()).collect()
    }

    #[test]
    fn a_definition_differs_where_its_meaning_does() {
        let old = json!({"name": "crm-find", "description": "Finds.", "annotations": {"title": "Find"},
            "inputSchema": {"type": "object", "properties": {"id": {"type": "string"}}}, "_meta": {"a": 1}});
        let mut new = json!({"name": "crm_find", "title": "Find", "description": "Finds.",
            "outputSchema": null,
            "inputSchema": {"properties": {"id": {"type": "string"}}, "type": "object"}});
        let none = Ignored::default();
        assert_eq!(tools(&old, &new, &none), []);
        new["inputSchema"]["properties"]["id"]["type"] = json!("integer");
        new["description"] = json!("[crm] Finds.");
        assert_eq!(places(&tools(&old, &new, &none)), ["/description", "/inputSchema/properties/id/type"]);
        let ignored = Ignored::of(&["description".to_owned(), "inputSchema".to_owned()]);
        assert_eq!(tools(&old, &new, &ignored), []);
    }

    #[test]
    fn an_answer_differs_where_its_meaning_does() {
        let old = Answer::Result(json!({"content": [{"type": "text", "text": "a", "annotations": null}],
            "isError": false, "structuredContent": {"sum": 3, "at": "noon"}, "_meta": {"gateway": "old"}}));
        let new = |sum: Value| {
            Answer::Result(json!({"content": [{"type": "text", "text": "a"}], "resultType": "complete",
                "structuredContent": {"sum": sum, "at": "midnight"}}))
        };
        let none = Ignored::default();
        assert_eq!(places(&answers(&old, &new(json!(3.0)), &none)), ["/structuredContent/at"]);
        let ignored = Ignored::of(&["/structuredContent/at".to_owned()]);
        assert_eq!(answers(&old, &new(json!(3.0)), &ignored), []);
        assert_eq!(places(&answers(&old, &new(json!(4)), &ignored)), ["/structuredContent/sum"]);
        assert_eq!(places(&answers(&old, &new(json!("3")), &ignored)), ["/structuredContent/sum"]);
    }

    #[test]
    fn an_error_is_not_a_result_and_not_another_error() {
        let none = Ignored::default();
        let error = |code| Answer::Error(code, "no".to_owned());
        let failed = Answer::Result(json!({"isError": true, "content": []}));
        assert_eq!(answers(&error(-32602), &Answer::Error(-32602, "never".to_owned()), &none), []);
        assert_eq!(answers(&error(-32602), &error(-32603), &none).len(), 1);
        assert_eq!(answers(&error(-32602), &failed, &none).len(), 1);
        for code in NO_ANSWERS {
            assert_eq!(answers(&error(code), &error(code), &none).len(), 1, "{code}: nobody answered");
        }
        let nobody = Answer::NotAsked("there is no such tool");
        assert_eq!(answers(&nobody, &nobody, &none).len(), 1, "nobody answered");
        let good = Answer::Result(json!({"content": []}));
        assert_eq!(places(&answers(&good, &failed, &none)), ["/isError"]);
    }

    #[test]
    fn what_is_told_has_an_end() {
        let many = |n: u64| Answer::Result(json!({"content": (0..100).map(|i| i * n).collect::<Vec<_>>()}));
        assert_eq!(answers(&many(1), &many(2), &Ignored::default()).len(), TOLD_MAX);
    }
}
