//! Which tool here is which tool there. Gateways join the names of servers and of tools in ways of their own:
//! `crm_lookup`, `crm-lookup`, `crm__lookup`, or `lookup` alone.

use std::collections::{BTreeMap, BTreeSet};

/// Tools that belong together, and those that stand alone.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// The name there and the name here, in the order of the names there.
    pub both: Vec<(String, String)>,
    /// Names that are only there, and why nothing here was taken for one of them where that needs saying.
    pub only_old: Vec<(String, Option<String>)>,
    /// Names that are only here.
    pub only_new: Vec<String>,
}

/// What is known beside the names.
#[derive(Debug, Default)]
pub struct Known {
    /// What the operator says: the name there, and the name here.
    pub renames: BTreeMap<String, String>,
    /// The upstreams' names here, where they are known.
    pub upstreams: Vec<String>,
}

/// Pairs the names.
///
/// In this order: what the operator says, the same name, the same words however they are joined, the same
/// name without a server's. Where that leaves a choice, nothing is paired: a wrong pair would hide a
/// difference.
pub fn pair(old: &[String], new: &[String], known: &Known) -> Pairs {
    let here: BTreeSet<&str> = new.iter().map(String::as_str).collect();
    let mut wanted: Vec<(&String, Result<&str, Option<String>>)> = Vec::new();
    for name in old {
        wanted.push((name, find(name, &here, known)));
    }
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    for found in wanted.iter().filter_map(|(_, found)| found.as_ref().ok()) {
        *taken.entry(found).or_default() += 1;
    }
    let mut pairs = Pairs::default();
    for (name, found) in wanted {
        match found {
            Ok(new) if taken.get(new) == Some(&1) => pairs.both.push((name.clone(), new.to_owned())),
            Ok(new) => {
                let why = format!("several could be {new:?} here; say which with --rename");
                pairs.only_old.push((name.clone(), Some(why)));
            }
            Err(why) => pairs.only_old.push((name.clone(), why)),
        }
    }
    let paired: BTreeSet<&str> = pairs.both.iter().map(|(_, new)| new.as_str()).collect();
    pairs.only_new = new.iter().filter(|name| !paired.contains(name.as_str())).cloned().collect();
    pairs
}

fn find<'a>(name: &str, here: &BTreeSet<&'a str>, known: &Known) -> Result<&'a str, Option<String>> {
    if let Some(renamed) = known.renames.get(name) {
        let found = here.get(renamed.as_str());
        return found.copied().ok_or_else(|| Some(format!("--rename names {renamed:?}, which is not here")));
    }
    if let Some(same) = here.get(name) {
        return Ok(same);
    }
    let folded = fold(name);
    let words = |one: &&&str| fold(one) == folded;
    let bare = |one: &&&str| {
        own(one, &known.upstreams).is_some_and(|own| fold(own) == folded)
            || folded.strip_suffix(&fold(one)).is_some_and(|server| server.ends_with('-'))
    };
    match only(here.iter().filter(words)) {
        Err(None) => {}
        found => return found,
    }
    only(here.iter().filter(bare))
}

/// The one. `Err(None)`: there is none.
fn only<'a, 'b>(mut found: impl Iterator<Item = &'b &'a str>) -> Result<&'a str, Option<String>>
where
    'a: 'b,
{
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(one), Some(two)) => {
            Err(Some(format!("it could be {one:?} or {two:?} here; say which with --rename")))
        }
        (None, _) => Err(None),
    }
}

/// The tool's own name in one with an upstream's before it.
fn own<'a>(name: &'a str, upstreams: &[String]) -> Option<&'a str> {
    upstreams.iter().find_map(|upstream| {
        let rest = name.strip_prefix(upstream.as_str())?;
        let own = rest.trim_start_matches(['_', '.']);
        (own.len() < rest.len()).then_some(own)
    })
}

/// A name's words, however they are joined.
fn fold(name: &str) -> String {
    let mut folded = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_alphanumeric() {
            folded.extend(c.to_lowercase());
        } else if !folded.ends_with('-') {
            folded.push('-');
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn paired(old: &str, new: &[&str], upstreams: &[&str]) -> Option<String> {
        let known = Known { renames: BTreeMap::new(), upstreams: names(upstreams) };
        pair(&names(&[old]), &names(new), &known).both.pop().map(|(_, new)| new)
    }

    #[test]
    fn a_tool_is_known_however_a_gateway_joins_names() {
        let here = ["crm_find_customer", "files_read"];
        for (old, new) in [
            ("crm_find_customer", "crm_find_customer"),
            ("crm-find_customer", "crm_find_customer"),
            ("CRM__find_customer", "crm_find_customer"),
            ("crm.find-customer", "crm_find_customer"),
            ("find_customer", "crm_find_customer"),
            ("files-read", "files_read"),
        ] {
            assert_eq!(paired(old, &here, &["crm", "files"]).as_deref(), Some(new), "{old}");
        }
        assert_eq!(
            paired("crm-find", &["find"], &[]).as_deref(),
            Some("find"),
            "one upstream, names unchanged"
        );
        assert_eq!(paired("crm_delete", &here, &["crm", "files"]), None);
        assert_eq!(paired("refind", &["find"], &[]), None, "no word of its own");
    }

    #[test]
    fn where_there_is_a_choice_nothing_is_paired() {
        let known = Known { renames: BTreeMap::new(), upstreams: names(&["a", "b"]) };
        let pairs = pair(&names(&["read"]), &names(&["a_read", "b_read"]), &known);
        assert_eq!(pairs.both, []);
        let why = pairs.only_old[0].1.clone().expect("it says why");
        assert!(why.contains("\"a_read\" or \"b_read\""), "{why}");
        assert_eq!(pairs.only_new, ["a_read", "b_read"]);
        // Two names there that could be the same one here.
        let pairs = pair(&names(&["a-read", "a__read"]), &names(&["a_read"]), &known);
        assert_eq!((pairs.both.len(), pairs.only_old.len()), (0, 2));
    }

    #[test]
    fn what_the_operator_says_goes_first() {
        let renames = BTreeMap::from([("read".to_owned(), "b_read".to_owned())]);
        let known = Known { renames, upstreams: names(&["a", "b"]) };
        let pairs = pair(&names(&["read"]), &names(&["a_read", "b_read"]), &known);
        assert_eq!(pairs.both, [("read".to_owned(), "b_read".to_owned())]);
        let renames = BTreeMap::from([("read".to_owned(), "c_read".to_owned())]);
        let pairs = pair(&names(&["read"]), &names(&["a_read"]), &Known { renames, ..Known::default() });
        assert!(pairs.only_old[0].1.as_ref().is_some_and(|why| why.contains("not here")));
    }
}
