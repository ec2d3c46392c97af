//! Which requests a limit is for, and what it counts apart.

use std::fmt::Write as _;

use config::{Glob, Rate, RateKey};
use serde_json::{Map, Value};

/// What is known of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    pub tenant: &'a str,
    pub subject: &'a str,
    pub client: Option<&'a str>,
    pub groups: &'a [String],
    pub endpoint: &'a str,
    /// `None`: it is for none alone, as with lists.
    pub upstream: Option<&'a str>,
    /// Its own name for the tool.
    pub tool: Option<&'a str>,
    pub method: &'a str,
}

/// The methods that a limit is for which names none.
const METHODS: [&str; 3] = ["tools/call", "prompts/get", "resources/read"];

/// The longest name of a budget that says all it is for, in bytes.
const NAME_BYTES_MAX: usize = 200;

/// Whether a limit is for this request.
pub(super) fn fits(rule: &Rate, facts: &Facts<'_>) -> bool {
    let fits = &rule.fits;
    let any = |globs: &[Glob], value: Option<&str>| {
        globs.is_empty() || value.is_some_and(|value| globs.iter().any(|glob| glob.matches(value)))
    };
    let named = |names: &[String], value: Option<&str>| {
        names.is_empty() || value.is_some_and(|value| names.iter().any(|name| name == value))
    };
    let method = match fits.methods.as_slice() {
        [] => METHODS.contains(&facts.method),
        methods => methods.iter().any(|method| method == facts.method),
    };
    let group = |group: &String| fits.groups.iter().any(|glob| glob.matches(group));
    method
        && any(&fits.tenants, Some(facts.tenant))
        && any(&fits.principals, Some(facts.subject))
        && any(&fits.clients, facts.client)
        && (fits.groups.is_empty() || facts.groups.iter().any(group))
        && named(&fits.endpoints, Some(facts.endpoint))
        && named(&fits.upstreams, facts.upstream)
        && any(&fits.tools, facts.tool)
}

/// What this request has of what a limit counts apart.
fn value<'a>(key: RateKey, facts: &Facts<'a>) -> &'a str {
    match key {
        RateKey::Tenant => facts.tenant,
        RateKey::Principal => facts.subject,
        RateKey::Client => facts.client.unwrap_or_default(),
        RateKey::Endpoint => facts.endpoint,
        RateKey::Upstream => facts.upstream.unwrap_or_default(),
        RateKey::Tool => facts.tool.unwrap_or_default(),
    }
}

/// The keys that are counted apart. A principal is one of his tenant, and a tool one of its upstream.
fn keys(rule: &Rate) -> impl Iterator<Item = RateKey> {
    const ALL: [RateKey; 6] = [
        RateKey::Tenant,
        RateKey::Principal,
        RateKey::Client,
        RateKey::Endpoint,
        RateKey::Upstream,
        RateKey::Tool,
    ];
    let has = |key| rule.per.contains(&key);
    ALL.into_iter().filter(move |key| {
        has(*key)
            || (*key == RateKey::Tenant && has(RateKey::Principal))
            || (*key == RateKey::Upstream && has(RateKey::Tool))
    })
}

/// The name of the budget that this request is counted in.
pub(super) fn name(kind: char, rule: &Rate, facts: &Facts<'_>) -> String {
    let mut name = format!("{kind}/{}/", rule.name);
    let own = name.len();
    for key in keys(rule) {
        if name.len() > own {
            name.push(',');
        }
        let _ = write!(name, "{}=", key.as_str());
        for c in value(key, facts).chars() {
            if matches!(c, ',' | '=' | '%' | '/') || c.is_control() {
                let _ = write!(name, "%{:02X}", u32::from(c));
            } else {
                name.push(c);
            }
        }
    }
    if name.len() > NAME_BYTES_MAX {
        let digest = seal::sha256(name.as_bytes());
        name.truncate(own);
        name.push('#');
        for byte in digest {
            let _ = write!(name, "{byte:02x}");
        }
    }
    name
}

/// The same for whoever is refused.
pub(super) fn scope(rule: &Rate, facts: &Facts<'_>) -> Value {
    let own = keys(rule).map(|key| (key.as_str().to_owned(), Value::from(value(key, facts))));
    Value::Object(own.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Rate {
        let file =
            format!("upstreams: {{crm: {{url: 'http://a'}}}}\nrates: [{{name: r, rate: 1/s, {text}}}]");
        config::load_str(&file, "f").expect("a configuration").rates.remove(0)
    }

    const FACTS: Facts<'static> = Facts {
        tenant: "acme",
        subject: "ann",
        client: Some("editor"),
        groups: &[],
        endpoint: "mcp",
        upstream: Some("crm"),
        tool: Some("export_all"),
        method: "tools/call",
    };

    #[test]
    fn a_limit_is_for_what_all_of_its_lists_fit() {
        let groups = ["dev".to_owned()];
        let facts = Facts { groups: &groups, ..FACTS };
        let list = Facts { method: "tools/list", tool: None, upstream: None, ..facts };
        for (text, fit) in [
            ("", true),
            ("match: {tenants: [acme], principals: ['a*'], clients: [editor]}", true),
            ("match: {groups: [dev]}", true),
            ("match: {groups: [ops]}", false),
            ("match: {tenants: [other]}", false),
            ("match: {endpoints: [crm]}", false),
            ("match: {endpoints: [mcp], upstreams: [crm], tools: ['export_*']}", true),
            ("match: {tools: [import]}", false),
            ("match: {methods: [tools/list]}", false),
        ] {
            assert_eq!(fits(&rule(text), &facts), fit, "{text}");
        }
        assert!(fits(&rule("match: {methods: [tools/list]}"), &list));
        assert!(!fits(&rule(""), &list), "lists are counted where a limit names them");
        assert!(!fits(&rule("match: {clients: [editor]}"), &Facts { client: None, ..facts }));
    }

    #[test]
    fn what_is_counted_apart_has_a_name_that_nothing_else_has() {
        assert_eq!(name('r', &rule(""), &FACTS), "r/r/");
        assert_eq!(name('r', &rule("per: [tool]"), &FACTS), "r/r/upstream=crm,tool=export_all");
        let by = rule("per: [principal, client]");
        let odd = |subject, client| name('q', &by, &Facts { subject, client, ..FACTS });
        assert_eq!(odd("a,b=c", None), "q/r/tenant=acme,principal=a%2Cb%3Dc,client=");
        assert_ne!(odd("a", Some("b")), odd("a,client=b", None));
        let (long, other) = ("x".repeat(300), "x".repeat(301));
        assert_ne!(odd(&long, None), odd(&other, None));
        assert!(odd(&long, None).len() < 256);
        assert_eq!(scope(&by, &FACTS)["principal"], "ann");
    }
}
