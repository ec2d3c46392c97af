//! A gateway's text while it is read: what it says so far, and what became of each of its fields.

use indexmap::IndexMap;

use super::doc::{Node, Value};
use super::table::{Table, under};
use super::variable::{self, Style};
use crate::format::{Fault, Imported, Origin, Refused, SERVERS_MAX};
use crate::model::{Deployment, Provenance, Server, Transport};
use crate::reduce::may_guard;
use crate::report::Report;
use crate::text::{Piece, Text};

/// What is read.
pub(super) struct Reading<'a> {
    pub(super) origin: Origin<'a>,
    pub(super) deployment: Deployment,
    pub(super) report: Report,
    format: &'static str,
    refused: Vec<Refused>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(format: &'static str, origin: &Origin<'a>) -> Self {
        let deployment = Deployment { format: Some(format), ..Deployment::default() };
        Self { origin: *origin, deployment, report: Report::default(), format, refused: Vec::new() }
    }

    /// What was read.
    pub(super) fn done(self) -> Imported {
        Imported { deployment: self.deployment, report: self.report, refused: self.refused }
    }

    /// Takes a field that the model does not have, and says what that means. One that says nothing, or no, is
    /// none.
    pub(super) fn drop(&mut self, table: &mut Table<'_>, key: &str, guards: bool, meaning: &str) {
        let at = table.at(key);
        if let Some(node) = table.take(key)
            && !node.is_empty()
            && !matches!(node.value, Value::Bool(false))
        {
            self.report.dropped(at, guards, meaning);
        }
    }

    /// As [`Self::drop`], also where it is empty: `passthrough: {}` says something.
    pub(super) fn drop_present(&mut self, table: &mut Table<'_>, key: &str, guards: bool, meaning: &str) {
        let at = table.at(key);
        if table.take(key).is_some() {
            self.report.dropped(at, guards, meaning);
        }
    }

    /// Takes fields that say nothing of what the gateway does.
    pub(super) fn drop_all(&mut self, table: &mut Table<'_>, keys: &[&str], meaning: &str) {
        for key in keys {
            self.drop(table, key, false, meaning);
        }
    }

    /// Notes what is left of a map as fields that nobody knows here.
    pub(super) fn unknown(&mut self, table: Table<'_>) -> crate::model::Unknown {
        let path = table.path.clone();
        let rest = table.rest();
        for key in rest.keys() {
            let meaning = "it is not known what it means; only the same format keeps it";
            self.report.dropped(under(&path, key), may_guard(key), meaning);
        }
        rest
    }

    /// Reads one server. One that cannot be used is refused, and the others are read.
    ///
    /// # Errors
    /// [`Fault`] where there are too many.
    pub(super) fn server(
        &mut self,
        name: &str,
        node: &'a Node,
        path: &str,
        read: impl FnOnce(&mut Self, Table<'a>) -> Result<Option<Server>, Fault>,
    ) -> Result<(), Fault> {
        let found = Table::of(node, path, self.origin.file).and_then(|table| read(self, table));
        self.found(name, node, path, found)
    }

    /// Takes what was read of a server.
    ///
    /// # Errors
    /// As [`Self::server`].
    pub(super) fn found(
        &mut self,
        name: &str,
        node: &Node,
        path: &str,
        found: Result<Option<Server>, Fault>,
    ) -> Result<(), Fault> {
        let refused = |reading: &mut Self, fault: Fault| {
            reading.report.dropped(path, false, "it cannot be used as it is written: the server is left out");
            reading.refused.push(Refused { name: name.to_owned(), fault });
        };
        if self.deployment.servers.len() + self.refused.len() >= SERVERS_MAX {
            let message = format!("it has more than {SERVERS_MAX} servers");
            return Err(super::doc::fault(self.origin.file, node.line, node.column, path, message));
        }
        match found {
            Ok(Some(mut server)) => {
                if self.deployment.servers.contains_key(name) {
                    let message = "another server has this name";
                    let fault = super::doc::fault(self.origin.file, node.line, node.column, path, message);
                    refused(self, fault);
                    return Ok(());
                }
                server.provenance = Some(Provenance {
                    format: self.format,
                    file: self.origin.file.to_owned(),
                    scope: self.origin.scope,
                    name: name.to_owned(),
                    digest: self.origin.digest.map(str::to_owned),
                });
                self.deployment.servers.insert(name.to_owned(), server);
            }
            Ok(None) => {}
            Err(fault) => refused(self, fault),
        }
        Ok(())
    }

    /// Values with variables, each noted as kept.
    pub(super) fn values(
        &mut self,
        table: &mut Table<'_>,
        key: &str,
        style: Style,
    ) -> Result<IndexMap<String, Text>, Fault> {
        let at = table.at(key);
        let values = table.values(key)?.unwrap_or_default();
        let read = |(name, value): (String, String)| {
            self.report.kept(under(&at, &name), false);
            (name, variable::read(&value, style))
        };
        Ok(values.into_iter().map(read).collect())
    }

    /// Takes a text, noted as kept.
    pub(super) fn text(&mut self, table: &mut Table<'a>, key: &str) -> Result<Option<String>, Fault> {
        let at = table.at(key);
        let text = table.text(key)?;
        if text.is_some() {
            self.report.kept(at, false);
        }
        Ok(text.map(str::to_owned))
    }

    /// Takes a list of texts, noted as kept.
    pub(super) fn texts(
        &mut self,
        table: &mut Table<'a>,
        key: &str,
        guards: bool,
    ) -> Result<Option<Vec<String>>, Fault> {
        let at = table.at(key);
        let texts = table.texts(key)?;
        if texts.is_some() {
            self.report.kept(at, guards);
        }
        Ok(texts)
    }

    /// Takes a list of tools that stands for all where it is empty, as several gateways have it.
    pub(super) fn allow(&mut self, table: &mut Table<'a>, key: &str) -> Result<Option<Vec<String>>, Fault> {
        Ok(self.texts(table, key, true)?.filter(|tools| !tools.is_empty()))
    }

    /// Takes the word for a transport.
    pub(super) fn transport(&mut self, table: &mut Table<'a>, key: &str) -> Result<Option<Transport>, Fault> {
        let Some(word) = self.text(table, key)? else { return Ok(None) };
        let found = Transport::from_word(&word);
        found
            .map(Some)
            .ok_or_else(|| table.fault(format!("{key:?} is none of stdio, sse and streamable-http")))
    }
}

/// A program and its arguments.
pub(super) fn argv(command: &str, args: Vec<String>, style: Style) -> Vec<Text> {
    let words = std::iter::once(command.to_owned()).chain(args);
    words.map(|word| variable::read(&word, style)).collect()
}

/// A value after a word: `Bearer `.
pub(super) fn after(prefix: &str, value: &Text) -> Text {
    Text::plain(prefix).join(value)
}

impl Text {
    /// This text and then another one.
    fn join(self, other: &Self) -> Self {
        other.pieces().iter().cloned().fold(self, Self::with)
    }
}

/// The name of a variable for something: `CRM_EAST_TOKEN`.
pub(super) fn variable_name(of: &str, what: &str) -> String {
    let mut name: String =
        of.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    format!("{name}_{what}")
}

/// A variable as a piece.
pub(super) fn env(name: &str) -> Piece {
    Piece::Env { name: name.to_owned(), default: None }
}

/// A time in milliseconds: `30s`, `1m0s`, `250ms`, `1h`. `None`: it is none.
pub(super) fn milliseconds(text: &str) -> Option<u64> {
    let (mut total, mut rest) = (0u64, text.trim());
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = rest.split_at(end);
        let number: f64 = number.parse().ok()?;
        let len = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let (unit, left) = unit.split_at(len);
        let scale = match unit {
            "ms" => 1.0,
            "s" => 1_000.0,
            "m" => 60_000.0,
            "h" => 3_600_000.0,
            "d" => 86_400_000.0,
            _ => return None,
        };
        let value = number * scale;
        if !(0.0..=31_536_000_000.0).contains(&value) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range was looked at"
        )]
        let value = value.round() as u64;
        total = total.checked_add(value)?;
        rest = left;
    }
    Some(total)
}

/// A time as gateways write it.
pub(crate) fn duration(ms: u64) -> String {
    if ms.is_multiple_of(1000) { format!("{}s", ms / 1000) } else { format!("{ms}ms") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_all_their_units() {
        for (text, ms) in
            [("30s", 30_000), ("1m0s", 60_000), ("1h0m0s", 3_600_000), ("250ms", 250), ("1.5s", 1_500)]
        {
            assert_eq!(milliseconds(text), Some(ms), "{text}");
            assert_eq!(milliseconds(&duration(ms)), Some(ms));
        }
        for text in ["", "30", "s", "1x", "-1s", "9999999h", "1.2.3s"] {
            assert_eq!(milliseconds(text), None, "{text}");
        }
    }

    #[test]
    fn a_variable_has_a_name_that_shells_take() {
        assert_eq!(variable_name("CRM east", "TOKEN"), "CRM_EAST_TOKEN");
        assert_eq!(variable_name("1st", "TOKEN"), "_1ST_TOKEN");
    }
}
