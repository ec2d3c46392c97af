//! Names of tools that are patterns for some and plain names for others.
//!
//! Here and in agentgateway `*` is any text and `?` any one character, and neither has a way to write them as
//! themselves. Others compare names as they are. What goes from one kind to the other never lets more tools
//! through: an entry of what is offered that cannot be said goes, and one of what is not offered is said of
//! more tools.

use config::{GLOB_BYTES_MAX, Glob};

use crate::model::Tools;
use crate::report::Report;

/// Whether a text is a pattern that is more than itself.
fn is_wild(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// A name as a pattern that only this name fits; `None`: there is none.
pub(crate) fn exactly(name: &str) -> Option<&str> {
    (!is_wild(name) && Glob::new(name).is_ok()).then_some(name)
}

/// A name as the narrowest pattern that it fits. Others may fit it, too.
pub(crate) fn covering(name: &str) -> String {
    if let Some(name) = exactly(name) {
        return name.to_owned();
    }
    // What the name has itself as a wildcard fits it as one.
    let mut out = String::new();
    for c in name.chars() {
        let fits = c == '*' || c == '?' || Glob::new(c.encode_utf8(&mut [0; 4])).is_ok();
        let c = if fits { c } else { '?' };
        if out.len() + c.len_utf8() >= GLOB_BYTES_MAX {
            out.push('*');
            return out;
        }
        out.push(c);
    }
    if out.is_empty() { "*".to_owned() } else { out }
}

/// Whether lists of tools are patterns in a format of this name, and in [`None`], where nobody has said so.
pub(crate) fn has_patterns(format: Option<&str>) -> bool {
    matches!(format, Some("tidegate" | "agentgateway"))
}

/// Says the names of tools, which are no patterns, as patterns.
pub(crate) fn as_patterns(tools: &mut Tools, path: &str, report: &mut Report) {
    if let Some(allow) = &mut tools.allow {
        allow.retain(|name| {
            let stays = exactly(name).is_some();
            if !stays {
                let meaning = "it would be a pattern, which other tools fit: it is not offered";
                report.approximated(format!("{path}.allow"), true, meaning);
            }
            stays
        });
    }
    for name in &mut tools.deny {
        if exactly(name).is_none() {
            let meaning = "it is a pattern now: other tools that fit it are not offered either";
            report.approximated(format!("{path}.deny"), true, meaning);
            *name = covering(name);
        }
    }
}

/// Says patterns of tools as names, where others know no patterns.
pub(crate) fn as_names(tools: &mut Tools, path: &str, report: &mut Report) {
    if let Some(allow) = &mut tools.allow
        && allow.iter().any(|name| is_wild(name))
    {
        allow.retain(|name| !is_wild(name));
        let meaning = "patterns mean nothing there: what fits them is not offered until it is named";
        report.approximated(format!("{path}.allow"), true, meaning);
    }
    if tools.deny.iter().any(|name| is_wild(name)) {
        tools.deny.retain(|name| !is_wild(name));
        let meaning = "patterns mean nothing there: what fits them is offered until it is named";
        report.dropped(format!("{path}.deny"), true, meaning);
    }
}

/// How long the name of a tool of several servers is at most, unless `names.max` says otherwise: a longer one
/// is cut and ends in a hash.
const JOINED_CHARS_MAX: usize = 64;
/// As much of a longer one stays in any case.
const JOINED_CHARS_KEPT: usize = 24;
/// What stands between the name of a server and that of its tool, unless `names.separator` says otherwise.
const SEPARATOR: &str = "_";

/// Says the tools of an endpoint (`SERVER/TOOL`, or a name for all of its servers) as patterns over the names
/// that they have where servers meet. `servers` are those of the endpoint, by what they were called and what
/// they are called here.
pub(crate) fn as_joined(tools: &mut Tools, servers: &[(String, String)], path: &str, report: &mut Report) {
    let each = |name: &str| -> Vec<(String, String)> {
        let of_one = name.split_once('/').and_then(|(server, tool)| {
            let (_, here) = servers.iter().find(|(old, _)| old == server)?;
            Some(vec![(here.clone(), tool.to_owned())])
        });
        of_one.unwrap_or_else(|| servers.iter().map(|(_, here)| (here.clone(), name.to_owned())).collect())
    };
    if let Some(allow) = &mut tools.allow {
        let mut out = Vec::new();
        for (server, tool) in allow.iter().flat_map(|name| each(name)) {
            let joined = format!("{server}{SEPARATOR}{tool}");
            let fits = exactly(&tool).is_some() && joined.chars().count() <= JOINED_CHARS_MAX;
            if fits && !out.contains(&joined) {
                out.push(joined);
            } else if !fits {
                let meaning = "no pattern fits this name alone: it is not offered";
                report.approximated(format!("{path}.allow"), true, meaning);
            }
        }
        *allow = out;
    }
    let mut out: Vec<String> = Vec::new();
    for (server, tool) in tools.deny.iter().flat_map(|name| each(name)) {
        let whole = format!("{server}{SEPARATOR}{tool}");
        let fits = exactly(&tool).is_some() && whole.chars().count() <= JOINED_CHARS_MAX;
        let joined = if whole.chars().count() > JOINED_CHARS_MAX {
            covering(&whole.chars().take(JOINED_CHARS_KEPT).collect::<String>()) + "*"
        } else {
            covering(&whole)
        };
        if !fits {
            let meaning = "it is a pattern now: other tools that fit it are not offered either";
            report.approximated(format!("{path}.deny"), true, meaning);
        }
        if !out.contains(&joined) {
            out.push(joined);
        }
    }
    tools.deny = out;
}

/// The name of a tool, `SERVER/TOOL`, where servers meet. One that names no server stays.
pub(crate) fn joined(name: &str, servers: &[(String, String)]) -> String {
    let found = name.split_once('/').and_then(|(server, tool)| {
        let (_, here) = servers.iter().find(|(old, _)| old == server)?;
        Some(format!("{here}{SEPARATOR}{tool}"))
    });
    found.unwrap_or_else(|| name.to_owned())
}

/// Says patterns over the names that tools have where servers meet as patterns for each of the servers:
/// `SERVER/TOOL`. `names` is the section of that name of the configuration, if there is one.
pub(crate) fn as_parted(
    tools: &mut Tools,
    servers: &[String],
    names: Option<&serde_json::Value>,
    path: &str,
    report: &mut Report,
) {
    let said = |key: &str| names.and_then(|names| names.get(key));
    let separator = said("separator").and_then(serde_json::Value::as_str).unwrap_or(SEPARATOR);
    let max = said("max").and_then(serde_json::Value::as_u64).and_then(|max| usize::try_from(max).ok());
    let max = max.unwrap_or(JOINED_CHARS_MAX);
    let parted = |pattern: &String| -> Vec<String> {
        let each = servers.iter().map(|server| (server, rest_of(pattern, &format!("{server}{separator}"))));
        each.flat_map(|(server, rest)| rest.into_iter().map(move |rest| format!("{server}/{rest}"))).collect()
    };
    // As long a name may be one that was cut: what it is the hash of is not known here.
    let is_cut = |pattern: &String| pattern.chars().count() >= max;
    if let Some(allow) = &mut tools.allow {
        if allow.iter().any(is_cut) {
            let meaning = "it may be a name that was cut: it is not offered until it is named";
            report.approximated(format!("{path}.allow"), true, meaning);
        }
        *allow = allow.iter().filter(|one| !is_cut(one)).flat_map(parted).collect();
    }
    if tools.deny.iter().any(is_cut) {
        let meaning = "it may be a name that was cut: it is offered until it is named";
        report.dropped(format!("{path}.deny"), true, meaning);
    }
    tools.deny = tools.deny.iter().filter(|one| !is_cut(one)).flat_map(parted).collect();
}

/// What is left of a pattern once `start` was read: the names that fit one of these are those that fit the
/// pattern after `start`.
pub(crate) fn rest_of(pattern: &str, start: &str) -> Vec<String> {
    let pattern: Vec<char> = pattern.chars().collect();
    // Where in the pattern one may be.
    let skip = |mut places: Vec<usize>| {
        let mut at = 0;
        while let Some(place) = places.get(at).copied() {
            if pattern.get(place) == Some(&'*') && !places.contains(&(place + 1)) {
                places.push(place + 1);
            }
            at += 1;
        }
        places
    };
    let mut places = skip(vec![0]);
    for c in start.chars() {
        let mut next = Vec::new();
        for place in places {
            let to = match pattern.get(place) {
                Some('*') => place,
                Some(one) if *one == '?' || *one == c => place + 1,
                _ => continue,
            };
            if !next.contains(&to) {
                next.push(to);
            }
        }
        places = skip(next);
    }
    // What follows a place of `*` is in what begins there.
    places.sort_unstable();
    let mut out: Vec<String> = Vec::new();
    let mut last = None;
    for place in places {
        let follows = place
            .checked_sub(1)
            .is_some_and(|before| last == Some(before) && pattern.get(before) == Some(&'*'));
        if !follows && place < pattern.len() {
            out.push(pattern.iter().skip(place).collect());
        }
        last = Some(place);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_with_a_wildcard_is_offered_to_nobody_and_denied_with_others() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut tools = Tools {
            allow: Some(list(&["find", "delete_*", "a b", "", "what?"])),
            deny: list(&["drop", "x*", "a [b]!", ""]),
        };
        let mut report = Report::default();
        as_patterns(&mut tools, "servers.crm.tools", &mut report);
        assert_eq!(tools.allow, Some(list(&["find"])));
        assert_eq!(tools.deny, ["drop", "x*", "a??b??", "*"]);
        assert_eq!(report.changed().count(), 7);
        assert!(!report.guards_lost());
    }

    #[test]
    fn a_pattern_is_no_name() {
        let mut tools = Tools { allow: Some(vec!["a".into(), "b*".into()]), deny: vec!["?".into()] };
        let mut report = Report::default();
        as_names(&mut tools, "t", &mut report);
        assert_eq!(tools, Tools { allow: Some(vec!["a".into()]), deny: Vec::new() });
        assert!(report.guards_lost(), "what was denied is offered: {report}");
    }

    #[test]
    fn what_is_left_of_a_pattern_is_what_fits_after_its_beginning() {
        for (pattern, start, rest) in [
            ("crm_find", "crm_", &["find"][..]),
            ("crm_*", "crm_", &["*"]),
            ("*_find", "crm_", &["*_find", "find"]),
            ("c?m_find", "crm_", &["find"]),
            ("web_*", "crm_", &[]),
            ("*", "crm_", &["*"]),
            ("crm_", "crm_", &[]),
        ] {
            assert_eq!(rest_of(pattern, start), rest, "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn a_name_fits_the_pattern_that_covers_it(name in "\\PC{0,40}|[a*?\\[ !é]{0,300}") {
            let pattern = covering(&name);
            let glob = Glob::new(&pattern);
            prop_assert!(glob.as_ref().is_ok_and(|glob| glob.matches(&name)), "{:?} {:?}", pattern, name);
            if let Some(exact) = exactly(&name) {
                prop_assert_eq!(exact, pattern);
            }
        }

        #[test]
        fn what_is_left_fits_the_same_names(
            pattern in "[ab_*?]{1,8}", start in "[ab]{1,3}_", name in "[ab_]{1,6}"
        ) {
            let fits = |pattern: &str, name: &str| Glob::new(pattern).is_ok_and(|glob| glob.matches(name));
            let rest = rest_of(&pattern, &start);
            let after = rest.iter().any(|rest| fits(rest, &name));
            prop_assert_eq!(after, fits(&pattern, &format!("{start}{name}")), "{:?}", rest);
        }
    }
}
