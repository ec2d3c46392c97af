//! Names of tools and of arguments: unique, stable, and of characters that every client takes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;

use crate::limits::NAME_CHARS_MAX;
use crate::operation::Place;

/// How many hexadecimal digits of a digest tell names apart.
const DIGEST_CHARS: usize = 8;

/// A text of letters, digits, `_` and `-` alone: some model interfaces take nothing else.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' => out.push(c),
            _ if out.ends_with('_') => {}
            _ => out.push('_'),
        }
    }
    out.trim_matches('_').to_owned()
}

/// What tells an operation from all others of a document, whatever its order.
pub(crate) fn key(method: &str, path: &str) -> String {
    format!("{method} {path}")
}

/// The name that an operation would have if it were alone.
pub(crate) fn wanted(operation_id: Option<&str>, method: &str, path: &str) -> String {
    let own = operation_id.map(clean).filter(|name| !name.is_empty());
    own.unwrap_or_else(|| {
        let mut name = method.to_ascii_lowercase();
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            let is_value = segment.starts_with('{');
            let _ = write!(name, "_{}{}", if is_value { "by_" } else { "" }, clean(segment));
        }
        clean(&name)
    })
}

/// The names of operations, given what each would be called and what it is. Those that would share a name
/// all end in a digest of what they are, so that none depends on the order of a document.
pub(crate) fn tools(wanted: &[(String, String)]) -> Vec<String> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for (name, _) in wanted {
        *counts.entry(name).or_default() += 1;
    }
    let long = |name: &str| name.chars().count() > NAME_CHARS_MAX;
    let names = wanted.iter().map(|(name, key)| match counts.get(name.as_str()) {
        Some(1) if !long(name) => name.clone(),
        _ => ended(name, key),
    });
    let names: Vec<String> = names.collect();
    let mut seen = HashSet::new();
    let unique = |(at, name): (usize, &String)| match seen.insert(name.clone()) {
        true => name.clone(),
        // Another was called like this one with its digest.
        false => ended(&format!("{name}_{at}"), &wanted[at].1),
    };
    names.iter().enumerate().map(unique).collect()
}

fn ended(name: &str, key: &str) -> String {
    let kept: String = name.chars().take(NAME_CHARS_MAX - DIGEST_CHARS - 1).collect();
    format!("{kept}_{}", digest(key))
}

fn digest(text: &str) -> String {
    seal::hex(&seal::sha256(text.as_bytes())[..DIGEST_CHARS / 2])
}

/// The longest name of an argument.
const ARGUMENT_CHARS_MAX: usize = 64;

/// The names of arguments for parameters, given by place and name. One that is free keeps its name, in the
/// order of places; others are called by their place too. Nothing depends on the order of a document.
pub(crate) fn arguments(parameters: &[(Place, String)]) -> Vec<String> {
    let mut order: Vec<usize> = (0..parameters.len()).collect();
    order.sort_by(|a, b| parameters[*a].cmp(&parameters[*b]));
    let mut taken = HashSet::new();
    let mut names: BTreeMap<usize, String> = BTreeMap::new();
    let plain = |name: &str| !name.is_empty() && name.len() <= ARGUMENT_CHARS_MAX && clean(name) == *name;
    for at in &order {
        let (_, name) = &parameters[*at];
        if (plain(name) || name.starts_with('_') && clean(name).len() + 1 == name.len())
            && taken.insert(name.clone())
        {
            names.insert(*at, name.clone());
        }
    }
    for at in &order {
        if names.contains_key(at) {
            continue;
        }
        let (place, name) = &parameters[*at];
        let name: String = clean(name).chars().take(ARGUMENT_CHARS_MAX - 16).collect();
        let placed = format!("{}_{name}", place.word());
        let numbered = (2..).map(|number| format!("{placed}_{number}"));
        let mut candidates = [name.clone(), placed.clone()].into_iter().chain(numbered);
        let free = candidates.find(|name| !name.is_empty() && taken.insert(name.clone()));
        names.insert(*at, free.unwrap_or_default());
    }
    names.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(list: &[(&str, &str)]) -> Vec<String> {
        tools(&list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>())
    }

    #[test]
    fn a_name_says_what_the_operation_is_called_or_does() {
        assert_eq!(wanted(Some("repos/list-for-org"), "GET", "/x"), "repos_list-for-org");
        assert_eq!(wanted(Some("  "), "GET", "/pets/{petId}/toys"), "get_pets_by_petId_toys");
        assert_eq!(wanted(None, "DELETE", "/"), "delete");
        assert_eq!(wanted(Some("größe.lesen()"), "GET", "/x"), "gr_e_lesen");
    }

    #[test]
    fn those_of_one_name_are_told_apart_whatever_their_order() {
        let (a, b, c) = (("list", "GET /a"), ("list", "GET /b"), ("get", "GET /c"));
        let (one, other) = (named(&[a, b, c]), named(&[c, b, a]));
        assert_eq!((&one[0], &one[1], &one[2]), (&other[2], &other[1], &other[0]));
        assert_eq!(one[2], "get");
        assert!(one[0].starts_with("list_") && one[1].starts_with("list_") && one[0] != one[1]);
        let long = "x".repeat(200);
        let names = named(&[(&long, "GET /a")]);
        assert_eq!(names[0].len(), 64);
        let clash = named(&[a, b, (&one[0], "GET /d")]);
        assert_eq!(clash.iter().collect::<HashSet<_>>().len(), 3, "{clash:?}");
    }

    #[test]
    fn parameters_of_one_name_are_told_apart_by_their_place() {
        let list = |names: &[(Place, &str)]| {
            arguments(&names.iter().map(|(p, n)| (*p, (*n).to_owned())).collect::<Vec<_>>())
        };
        let (q, p, h) = ((Place::Query, "id"), (Place::Path, "id"), (Place::Header, "id"));
        assert_eq!(list(&[q, p, h]), ["query_id", "id", "header_id"]);
        assert_eq!(list(&[h, q, p]), ["header_id", "query_id", "id"]);
        assert_eq!(list(&[q, p, (Place::Query, "query_id")]), ["query_id_2", "id", "query_id"]);
        assert_eq!(list(&[(Place::Query, "filter[name]"), (Place::Query, "_all")]), ["filter_name", "_all"]);
        assert_eq!(
            list(&[(Place::Query, "ä"), (Place::Query, "a b"), (Place::Query, "a_b")]),
            ["query_", "query_a_b", "a_b"]
        );
    }
}
