//! The exceptions of `tidy.toml`: a list that can only shrink.

use super::rules::{Fault, RULES};
use crate::Result;
use crate::workspace::Workspace;
use toml::{Table, Value};

const FILE: &str = "tidy.toml";

/// What is accepted for now.
#[derive(Debug, Default)]
pub struct Exceptions(Vec<Exception>);

#[derive(Debug)]
struct Exception {
    rule: String,
    file: String,
    /// One function or item; without it the whole file is meant.
    item: Option<String>,
    /// The size that is accepted, where size is the matter.
    max: Option<usize>,
}

impl Exceptions {
    /// Reads `tidy.toml`.
    pub fn read(workspace: &Workspace) -> Result<Self> {
        Self::from_table(&workspace.read_toml(FILE)?).map_err(|e| format!("{FILE}: {e}"))
    }

    fn from_table(table: &Table) -> Result<Self> {
        if let Some(other) = table.keys().find(|key| *key != "exception") {
            return Err(format!("unknown key {other}"));
        }
        let list = match table.get("exception") {
            None => return Ok(Self::default()),
            Some(value) => value.as_array().ok_or("`exception` is not a list of tables")?,
        };
        list.iter().map(exception).collect::<Result<Vec<_>>>().map(Self)
    }

    /// The faults that no exception covers, and the exceptions that cover nothing, as lines to print.
    pub fn apply(&self, faults: Vec<Fault>) -> Vec<String> {
        let mut told = Vec::new();
        let mut used = vec![false; self.0.len()];
        for fault in faults {
            let covers = self.0.iter().position(|exception| exception.covers(&fault));
            let Some(index) = covers else {
                told.push(format!("{}:{}: {}: {}", fault.file, fault.line, fault.rule, fault.message));
                continue;
            };
            used[index] = true;
            let max = self.0[index].max;
            if fault.size.zip(max).is_some_and(|(size, max)| size > max) {
                told.push(format!(
                    "{}:{}: {}: {}; the exception in {FILE} ends at {}",
                    fault.file,
                    fault.line,
                    fault.rule,
                    fault.message,
                    max.unwrap_or_default()
                ));
            }
        }
        for (exception, _) in self.0.iter().zip(&used).filter(|(_, used)| !**used) {
            let item = exception.item.as_ref().map(|item| format!(" ({item})")).unwrap_or_default();
            told.push(format!(
                "{FILE}: the exception from {} for {}{item} is no longer needed: remove it",
                exception.rule, exception.file
            ));
        }
        told
    }
}

impl Exception {
    fn covers(&self, fault: &Fault) -> bool {
        self.rule == fault.rule && self.file == fault.file && (self.item.is_none() || self.item == fault.item)
    }
}

fn exception(value: &Value) -> Result<Exception> {
    let table = value.as_table().ok_or("an exception is not a table")?;
    if let Some(key) = table.keys().find(|k| !["rule", "file", "item", "max", "reason"].contains(&k.as_str()))
    {
        return Err(format!("unknown key {key} in an exception"));
    }
    let text = |key: &str| table.get(key).and_then(Value::as_str).map(str::to_owned);
    let (Some(rule), Some(file)) = (text("rule"), text("file")) else {
        return Err("an exception needs `rule` and `file`".to_owned());
    };
    if !RULES.contains(&rule.as_str()) {
        return Err(format!("there is no rule {rule}; there are {}", RULES.join(", ")));
    }
    if text("reason").is_none_or(|reason| reason.trim().len() < 10) {
        return Err(format!("the exception from {rule} for {file} gives no reason"));
    }
    let max = table.get("max").and_then(Value::as_integer).and_then(|max| usize::try_from(max).ok());
    if rule.ends_with("-length") && rule != "line-length" && max.is_none() {
        return Err(format!("the exception from {rule} for {file} needs `max`, the size that is accepted"));
    }
    Ok(Exception { rule, file, item: text("item"), max })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REASON: &str = "reason = 'a table that reads best in one piece'";

    fn exceptions(text: &str) -> Result<Exceptions> {
        Exceptions::from_table(&text.parse().expect("toml"))
    }

    fn fault(rule: &'static str, item: Option<&str>, size: Option<usize>) -> Fault {
        let (file, message) = ("a.rs".to_owned(), "m".to_owned());
        Fault { rule, file, line: 7, item: item.map(str::to_owned), size, message }
    }

    #[test]
    fn a_fault_without_exception_is_told_with_its_place() {
        let told = Exceptions::default().apply(vec![fault("unwrap", None, None)]);
        assert_eq!(told, ["a.rs:7: unwrap: m"]);
    }

    #[test]
    fn an_exception_covers_its_own_rule_file_and_item_and_nothing_else() {
        let text =
            format!("[[exception]]\nrule = 'function-length'\nfile = 'a.rs'\nitem = 'f'\nmax = 80\n{REASON}");
        let list = exceptions(&text).expect("exceptions");
        assert!(list.apply(vec![fault("function-length", Some("f"), Some(80))]).is_empty());
        assert_eq!(list.apply(vec![fault("function-length", Some("f"), Some(81))]).len(), 1);
        let other = fault("function-length", Some("g"), Some(80));
        let told = list.apply(vec![other]);
        assert_eq!(told.len(), 2, "{told:?}");
    }

    #[test]
    fn an_exception_that_covers_nothing_is_told() {
        let text = format!("[[exception]]\nrule = 'unwrap'\nfile = 'a.rs'\n{REASON}");
        let told = exceptions(&text).expect("exceptions").apply(Vec::new());
        assert_eq!(told, ["tidy.toml: the exception from unwrap for a.rs is no longer needed: remove it"]);
    }

    #[test]
    fn exceptions_without_reason_size_or_known_rule_are_refused() {
        for bad in [
            "rule = 'unwrap'\nfile = 'a.rs'".to_owned(),
            format!("rule = 'unknown'\nfile = 'a.rs'\n{REASON}"),
            format!("rule = 'unwrap'\n{REASON}"),
            format!("rule = 'file-length'\nfile = 'a.rs'\n{REASON}"),
            format!("rule = 'unwrap'\nfile = 'a.rs'\nline = 1\n{REASON}"),
        ] {
            assert!(exceptions(&format!("[[exception]]\n{bad}")).is_err(), "{bad}");
        }
        assert!(exceptions("other = 1").is_err());
    }
}
