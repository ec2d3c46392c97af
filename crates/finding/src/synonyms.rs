//! Words that mean the same to those who ask.

use std::collections::HashMap;

use crate::words::words;

/// Words and phrases that mean the same and ship with the gateway. An operator adds others, such as names of
/// teams and products.
pub const SAME: &[&[&str]] = &[
    &["pull request", "pr", "merge request", "mr"],
    &["repository", "repo"],
    &["issue", "ticket", "bug"],
    &["file ticket", "file bug", "file issue", "report bug", "create issue"],
    &["email", "mail", "e-mail"],
    &["directory", "folder", "dir"],
    &["kubernetes", "k8s"],
    &["database", "db"],
    &["spreadsheet", "sheet", "excel"],
    &["picture", "image", "photo"],
    &["search", "find", "look for", "lookup"],
    &["delete", "remove", "erase"],
    &["vm", "virtual machine", "instance"],
    &["vacation", "time off", "holiday"],
    &["weather", "rain", "snow", "sunny"],
    &["refund", "money back", "reimburse"],
    &["remember", "memory", "memorize"],
    &["authenticate", "log in", "sign in", "login"],
    &["configuration", "config", "settings"],
    &["document", "doc"],
    &["environment", "env"],
    &["pdf", "acrobat"],
    &["postgres", "postgresql"],
    &["mongodb", "mongo"],
    &["javascript", "js"],
    &["infrastructure", "infra"],
];

/// Words and phrases of which one is often meant by another.
pub const NEAR: &[&[&str]] = &[
    &["delete", "drop", "destroy", "discard", "get rid", "tear down"],
    &["create", "add", "new", "make", "open", "insert", "register", "set up"],
    &["update", "edit", "change", "modify", "set", "alter", "patch"],
    &["list", "show", "enumerate", "browse"],
    &["get", "fetch", "read", "retrieve", "show", "view", "look up"],
    &["search", "query"],
    &["send", "post", "write", "publish", "deliver"],
    &["message", "dm", "text", "chat"],
    &["document", "page"],
    &["kubernetes", "cluster"],
    &["pod", "container"],
    &["table", "relation"],
    &["picture", "screenshot"],
    &["user", "member", "person", "people", "account"],
    &["meeting", "event", "appointment", "calendar"],
    &["run", "execute", "start", "launch", "trigger", "invoke"],
    &["stop", "cancel", "abort", "terminate", "kill", "halt", "shut down"],
    &["money", "payment", "charge", "pay"],
    &["customer", "client", "contact"],
    &["log", "output", "trace"],
    &["metric", "graph", "chart", "measurement"],
    &["alert", "alarm", "incident", "page", "outage", "monitor"],
    &["secret", "password", "credential"],
    &["copy", "duplicate", "clone"],
    &["rename", "move"],
    &["save", "store", "upload"],
    &["download", "export"],
    &["assign", "give"],
    &["reply", "answer", "respond", "comment"],
    &["web", "url", "website", "internet", "site", "online"],
    &["commit", "change", "revision"],
    &["build", "pipeline", "ci", "workflow"],
    &["release", "version", "tag"],
    &["approve", "accept", "sign off"],
    &["invite", "add member"],
    &["task", "todo", "to do", "reminder"],
    &["server", "instance"],
    &["bucket", "s3", "object storage"],
    &["dns", "domain"],
    &["deploy", "rollout", "ship", "release"],
    &["scale", "replicas", "resize"],
    &["resolve", "close", "done", "finish", "complete"],
    &["schema", "structure", "columns"],
    &["stock", "inventory"],
    &["deal", "opportunity"],
    &["translate", "language"],
    &["weather", "forecast", "temperature"],
    &["route", "directions", "way"],
    &["cost", "spend", "price", "expense"],
    &["plan", "preview", "dry run"],
    &["silence", "mute", "snooze"],
    &["who", "owner", "people"],
];

/// How much a word counts that stands for the same, and for what is near.
const SAME_WEIGHT: f64 = 0.85;
const NEAR_WEIGHT: f64 = 0.45;

/// What else words may mean, and how much that counts.
type Meant = (Vec<String>, f64);

/// Words that mean the same, ready to be asked for.
#[derive(Debug, Clone, Default)]
pub struct Synonyms {
    /// What is written, as words, to what is meant as well.
    meant: HashMap<Vec<String>, Vec<Meant>>,
    longest: usize,
}

/// How many groups there may be, and how many phrases in one.
pub(crate) const GROUPS_MAX: usize = 2_000;
pub(crate) const PHRASES_MAX: usize = 32;

impl Synonyms {
    /// The groups that ship with the gateway, and further ones of words or phrases that mean the same. Of
    /// more than 2,000 groups, and more than 32 in one, those at the end are not taken.
    #[must_use]
    pub fn shipped_and<'a>(more: impl IntoIterator<Item = Vec<&'a str>>) -> Self {
        let mut out = Self::default();
        for group in more.into_iter().take(GROUPS_MAX) {
            out.add(&group, SAME_WEIGHT);
        }
        SAME.iter().for_each(|group| out.add(group, SAME_WEIGHT));
        NEAR.iter().for_each(|group| out.add(group, NEAR_WEIGHT));
        out
    }

    fn add(&mut self, group: &[&str], weight: f64) {
        let phrases = group.iter().take(PHRASES_MAX).map(|phrase| words(phrase));
        let phrases: Vec<Vec<String>> = phrases.filter(|words| !words.is_empty()).collect();
        for phrase in &phrases {
            self.longest = self.longest.max(phrase.len());
            let meant = self.meant.entry(phrase.clone()).or_default();
            for other in phrases.iter().filter(|other| *other != phrase) {
                if !meant.iter().any(|(known, _)| known == other) {
                    meant.push((other.clone(), weight));
                }
            }
        }
    }

    /// The longest phrase that stands at the beginning of these words, with what else it may mean.
    pub(crate) fn at<'a>(&'a self, words: &[String]) -> Option<(usize, &'a [Meant])> {
        (1..=self.longest.min(words.len())).rev().find_map(|length| {
            let meant = self.meant.get(&words[..length])?;
            Some((length, meant.as_slice()))
        })
    }
}
