//! A client's JSON, written.

use serde_json::{Map, Value, json};

use super::dialect::{Dialect, Remote, Switch};
use super::oauth;
use crate::field::{Field, Support};
use crate::format::{Exported, Fault, Format, Imported, Known, Likeness, Origin, Target, Tested};
use crate::model::{Deployment, Input, Server, Transport};
use crate::reduce::reduce;
use crate::report::Report;
use crate::syntax::{Change, Source, edit_json, parse_json};
use crate::text::Text;
use crate::variables::Variables;

impl Format for Dialect {
    fn name(&self) -> &'static str {
        self.name
    }

    fn title(&self) -> &'static str {
        self.title
    }

    fn known(&self) -> &'static [Known] {
        self.known
    }

    fn detect(&self, file_name: &str, text: &str) -> Likeness {
        let by_name = self.known.iter().any(|known| known.path.rsplit('/').next() == Some(file_name));
        let Ok(source) = Source::new(text, file_name) else { return Likeness::No };
        let Ok(root) = parse_json(&source) else {
            return if by_name { Likeness::Maybe } else { Likeness::No };
        };
        let mut node = Some(&root);
        for key in self.root {
            node = node.and_then(|node| node.get(key));
        }
        match (node.is_some(), by_name) {
            (true, true) => Likeness::Surely,
            (true, false) if self.root == ["mcpServers"] => Likeness::Maybe,
            (true, false) => Likeness::Likely,
            (false, true) => Likeness::Maybe,
            (false, false) => Likeness::No,
        }
    }

    fn import(&self, text: &str, origin: &Origin<'_>) -> Result<Imported, Fault> {
        super::import::import(self, text, origin)
    }

    fn export(&self, deployment: &Deployment, target: &Target<'_>) -> Result<Exported, Fault> {
        let (reduced, report) = reduce(deployment, self);
        let servers: Map<String, Value> =
            reduced.servers.iter().map(|(name, server)| (name.clone(), entry(self, server))).collect();
        let mut changes = vec![Change::Members { path: self.root, members: servers, remove: target.remove }];
        if self.inputs && !reduced.inputs.is_empty() {
            let list = inputs(self, target, &reduced)?;
            changes.push(Change::Value { path: &["inputs"], value: list });
        }
        if let Switch::Excluded { excluded, allowed } = self.switch {
            if let Some(off) = names_off(excluded, target, &reduced)? {
                changes.push(Change::Value { path: excluded, value: off });
            }
            if let Some(on) = names_on(allowed, target, &reduced)? {
                changes.push(Change::Value { path: allowed, value: on });
            }
        }
        let unknown: Vec<([&str; 1], Value)> =
            reduced.unknown.iter().map(|(key, value)| ([key.as_str()], value.clone())).collect();
        for (path, value) in &unknown {
            changes.push(Change::Value { path, value: value.clone() });
        }
        let existing = target.existing.unwrap_or("{}\n");
        let mut text = edit_json(existing, target.file, &changes)?;
        if !text.ends_with('\n') && target.existing.is_none() {
            text.push('\n');
        }
        Ok(Exported { text, beside: Vec::new(), report })
    }

    fn support(&self, field: Field) -> Support {
        self.supports(field)
    }

    fn adjust(&self, deployment: &mut Deployment, report: &mut Report) {
        let names: Vec<String> = deployment.servers.keys().cloned().collect();
        for name in names {
            let Some(server) = deployment.servers.get_mut(&name) else { continue };
            let path = format!("servers.{name}");
            no_star(self, &path, server, report);
            round_timeouts(self, &path, server, report);
            oauth::adjust(self, &path, server, report);
            (self.own)(&path, server, report);
            if !(self.names)(&name) {
                report.dropped(path, false, "the client takes no such name: the server is left out");
                deployment.servers.shift_remove(&name);
                continue;
            }
            if !spellable(self.variables, &path, server, report) {
                let meaning = "its command or URL would be read as something else: the server is left out";
                report.dropped(path, false, meaning);
                deployment.servers.shift_remove(&name);
            }
        }
        if !self.inputs {
            for (id, _) in deployment.inputs.drain(..) {
                let meaning = "it is asked for without what was said of it";
                report.approximated(format!("inputs.{id}"), false, meaning);
            }
        }
        for (id, input) in &mut deployment.inputs {
            let default = input.default.as_ref();
            if default.is_some_and(|text| self.variables.render(text).is_none()) {
                input.default = None;
                report.dropped(format!("inputs.{id}.default"), false, "it cannot be written there");
            }
        }
    }

    fn tested(&self) -> Tested {
        self.tested
    }
}

/// A tool that is called `*` cannot be named where that stands for all tools.
fn no_star(dialect: &Dialect, path: &str, server: &mut Server, report: &mut Report) {
    let is_star = |tool: &String| tool == "*";
    if let Some(allow) = &mut server.tools.allow
        && dialect.allow_star
        && allow.iter().any(is_star)
    {
        allow.retain(|tool| tool != "*");
        let meaning = "\"*\" stands for all tools there: the tool of that name is not offered";
        report.approximated(format!("{path}.tools.allow"), true, meaning);
    }
    if dialect.trust_tools.1 && !server.trust.all && server.trust.tools.iter().any(is_star) {
        server.trust.tools.retain(|tool| tool != "*");
        let meaning = "\"*\" stands for all tools there: calls of the tool of that name are asked about";
        report.dropped(format!("{path}.trust.tools"), false, meaning);
    }
}

fn round_timeouts(dialect: &Dialect, path: &str, server: &mut Server, report: &mut Report) {
    let times = &mut server.timeouts;
    for (name, (_, scale), time) in [
        ("start_ms", dialect.start_timeout, &mut times.start_ms),
        ("call_ms", dialect.call_timeout, &mut times.call_ms),
        ("read_ms", dialect.read_timeout, &mut times.read_ms),
    ] {
        if let Some(time) = time.as_mut().filter(|time| !time.is_multiple_of(scale)) {
            *time = time.div_ceil(scale).saturating_mul(scale);
            let meaning = format!("it is {} there, rounded up", *time / scale);
            report.approximated(format!("{path}.timeouts.{name}"), false, meaning);
        }
    }
}

/// Whether all that is needed of a server can be spelt; values that cannot be are taken out.
pub(super) fn spellable(variables: Variables, path: &str, server: &mut Server, report: &mut Report) -> bool {
    const MEANING: &str = "it would be read as something else there: it is left out";
    for (part, values) in [("env", &mut server.env), ("headers", &mut server.headers)] {
        values.retain(|name, text| {
            let stays = variables.render(text).is_some();
            if !stays {
                report.dropped(format!("{path}.{part}.{name}"), false, MEANING);
            }
            stays
        });
    }
    let fixed = |text: &Text| {
        if variables.everywhere { variables.render(text).is_some() } else { text.as_plain().is_some() }
    };
    let mut oauth = server.oauth.take();
    if let Some(oauth) = &mut oauth {
        for (name, value) in
            [("client_id", &mut oauth.client_id), ("client_secret", &mut oauth.client_secret)]
        {
            if value.as_ref().is_some_and(|text| variables.render(text).is_none()) {
                *value = None;
                report.dropped(format!("{path}.oauth.{name}"), false, MEANING);
            }
        }
    }
    server.oauth = oauth.filter(|oauth| *oauth != crate::model::Oauth::default());
    for (name, value) in [("cwd", &mut server.cwd), ("env_file", &mut server.env_file)] {
        if value.as_ref().is_some_and(|text| !fixed(text)) {
            *value = None;
            report.dropped(format!("{path}.{name}"), false, MEANING);
        }
    }
    let own = own_variables(server);
    let word = |text: &Text| match variables.everywhere {
        true => variables.render_for(text, &own).is_some(),
        false => text.as_plain().is_some(),
    };
    server.argv.iter().all(word) && server.url.as_ref().is_none_or(fixed)
}

/// The variables that a program has of its own.
fn own_variables(server: &Server) -> Vec<&str> {
    server.env.keys().map(String::as_str).collect()
}

/// A server's entry. All of it can be said.
fn entry(dialect: &Dialect, server: &Server) -> Value {
    let mut entry = Map::new();
    let render = |text: &Text| match text.as_plain() {
        Some(plain) if !dialect.variables.everywhere => plain.to_owned(),
        _ => dialect.variables.render(text).unwrap_or_default(),
    };
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value.filter(|_| !key.is_empty()) {
            entry.insert(key.to_owned(), value);
        }
    };
    put(dialect.title_key, server.title.clone().map(Value::from));
    put(dialect.description, server.description.clone().map(Value::from));
    let (type_key, word) = word(dialect, server.transport);
    put(type_key, word.map(Value::from));
    if let Some((program, args)) = server.argv.split_first() {
        let own = own_variables(server);
        let word = |text: &Text| match text.as_plain() {
            Some(plain) if !dialect.variables.everywhere => plain.to_owned(),
            _ => dialect.variables.render_for(text, &own).unwrap_or_default(),
        };
        put("command", Some(json!(word(program))));
        put("args", (!args.is_empty()).then(|| json!(args.iter().map(word).collect::<Vec<_>>())));
    }
    let url_key = match (dialect.remote, server.transport) {
        (Remote::Keys { sse, .. }, Transport::Sse) => sse,
        (Remote::Keys { http, .. }, _) => http,
        (Remote::Typed { url, .. } | Remote::Found(url), _) => url,
        (Remote::None, _) => "",
    };
    put(url_key, server.url.as_ref().map(|url| json!(render(url))));
    for (key, values) in [("env", &server.env), ("headers", &server.headers)] {
        let spelt = |(name, text): (&String, &Text)| {
            (name.clone(), Value::from(dialect.variables.render(text).unwrap_or_default()))
        };
        let values: Map<String, Value> = values.iter().map(spelt).collect();
        put(key, (!values.is_empty()).then_some(Value::Object(values)));
    }
    put(dialect.headers_command, server.headers_command.clone().map(Value::from));
    put(dialect.cwd, server.cwd.as_ref().map(|text| json!(render(text))));
    put(dialect.env_file, server.env_file.as_ref().map(|text| json!(render(text))));
    match dialect.switch {
        Switch::Disabled => put("disabled", (!server.enabled).then_some(Value::Bool(true))),
        Switch::Enabled => put("enabled", (!server.enabled).then_some(Value::Bool(false))),
        Switch::None | Switch::Excluded { .. } => {}
    }
    let all = dialect.allow_star.then(|| json!(["*"]));
    put(dialect.allow, server.tools.allow.as_ref().map(|tools| json!(tools)).or(all));
    put(dialect.deny, (!server.tools.deny.is_empty()).then(|| json!(server.tools.deny)));
    put(dialect.trust_all, server.trust.all.then_some(Value::Bool(true)));
    let (trust, star) = dialect.trust_tools;
    let all = (star && server.trust.all).then_some("*");
    let trusted: Vec<&str> = all.into_iter().chain(server.trust.tools.iter().map(String::as_str)).collect();
    put(trust, (!trusted.is_empty()).then(|| json!(trusted)));
    let times = server.timeouts;
    for ((key, scale), time) in [
        (dialect.start_timeout, times.start_ms),
        (dialect.call_timeout, times.call_ms),
        (dialect.read_timeout, times.read_ms),
    ] {
        put(key, time.map(|time| json!(time / scale)));
    }
    if let Some(oauth) = &server.oauth {
        oauth::write(dialect, oauth, &mut entry);
    }
    entry.extend(server.unknown.clone());
    Value::Object(entry)
}

/// The word for a transport, and its key.
fn word(dialect: &Dialect, transport: Transport) -> (&'static str, Option<&'static str>) {
    let Remote::Typed { key, stdio, http, sse, .. } = dialect.remote else { return ("", None) };
    let word = match transport {
        Transport::Stdio => stdio,
        Transport::Sse => sse,
        Transport::StreamableHttp | Transport::Auto | Transport::WebSocket => Some(http),
    };
    (key, word)
}

/// The list of what is asked for: those that are there, and ours.
fn inputs(dialect: &Dialect, target: &Target<'_>, deployment: &Deployment) -> Result<Value, Fault> {
    let mut list = list_at(target, &["inputs"])?.unwrap_or_default();
    for (id, input) in &deployment.inputs {
        list.retain(|there| there.get("id") != Some(&json!(id)));
        list.push(one_input(dialect, id, input));
    }
    Ok(Value::Array(list))
}

fn one_input(dialect: &Dialect, id: &str, input: &Input) -> Value {
    let mut entry = Map::new();
    let kind = if input.options.is_empty() { "promptString" } else { "pickString" };
    entry.insert("type".to_owned(), kind.into());
    entry.insert("id".to_owned(), id.into());
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            entry.insert(key.to_owned(), value);
        }
    };
    put("description", input.description.clone().map(Value::from));
    put("default", input.default.as_ref().and_then(|text| dialect.variables.render(text)).map(Value::from));
    put("password", input.secret.then_some(Value::Bool(true)));
    put("options", (!input.options.is_empty()).then(|| json!(input.options)));
    entry.extend(input.unknown.clone());
    Value::Object(entry)
}

/// The names of servers that are off: of those that are there and not written here, and ours.
fn names_off(path: &[&str], target: &Target<'_>, deployment: &Deployment) -> Result<Option<Value>, Fault> {
    let there = list_at(target, path)?.unwrap_or_default();
    let mut names: Vec<Value> = there.clone();
    names.retain(|name| name.as_str().is_none_or(|name| !deployment.servers.contains_key(name)));
    let off = deployment.servers.iter().filter(|(_, server)| !server.enabled);
    names.extend(off.map(|(name, _)| Value::from(name.as_str())));
    Ok((names != there).then_some(Value::Array(names)))
}

/// The names of servers that are on alone, where there is such a list, with ours.
fn names_on(path: &[&str], target: &Target<'_>, deployment: &Deployment) -> Result<Option<Value>, Fault> {
    let Some(there) = list_at(target, path)? else { return Ok(None) };
    let mut names = there.clone();
    let on = deployment.servers.iter().filter(|(_, server)| server.enabled);
    let new = on.map(|(name, _)| Value::from(name.as_str())).filter(|name| !there.contains(name));
    names.extend(new);
    Ok((names != there).then_some(Value::Array(names)))
}

/// The list at a path of the text that is there.
fn list_at(target: &Target<'_>, path: &[&str]) -> Result<Option<Vec<Value>>, Fault> {
    let source = Source::new(target.existing.unwrap_or("{}"), target.file)?;
    let root = parse_json(&source)?;
    let mut node = Some(&root);
    for key in path {
        node = node.and_then(|node| node.get(key));
    }
    match node.map(crate::syntax::Node::to_value) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(list)) => Ok(Some(list)),
        Some(_) => Err(source.fault(0, &path.join("."), "expected a list")),
    }
}
