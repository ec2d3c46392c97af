//! Pages: recognised by how parameters and members of answers are usually called.

use serde_json::{Value, json};

const CURSORS: [&str; 18] = [
    "after",
    "bookmark",
    "continuationtoken",
    "continue",
    "cursor",
    "endingbefore",
    "marker",
    "nextcursor",
    "nextmarker",
    "nextpagetoken",
    "nexttoken",
    "pagecursor",
    "pagetoken",
    "scrollid",
    "startcursor",
    "startingafter",
    "startkey",
    "exclusivestartkey",
];
const OFFSETS: [&str; 5] = ["offset", "skip", "start", "startat", "startindex"];
const PAGES: [&str; 5] = ["page", "pageindex", "pageno", "pagenumber", "pagenum"];
const SIZES: [&str; 12] = [
    "count",
    "first",
    "limit",
    "maxitems",
    "maxresults",
    "pagelimit",
    "pagesize",
    "perpage",
    "results",
    "rows",
    "size",
    "top",
];
const NEXTS: [&str; 12] = [
    "aftercursor",
    "continuationtoken",
    "endcursor",
    "hasmore",
    "next",
    "nextcursor",
    "nextmarker",
    "nextpage",
    "nextpagetoken",
    "nextpageuri",
    "nexttoken",
    "lastid",
];

/// How the pages of a list are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Paging {
    style: &'static str,
    argument: String,
    size: Option<String>,
    next: Option<String>,
}

fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Looks at the query's parameters (what each is called, and the argument for it) and at the members of the
/// answer. `None`: these are no pages.
pub(crate) fn recognise(query: &[(&str, &str)], members: &[String]) -> Option<Paging> {
    let find = |names: &[&str]| {
        let hit = query.iter().find(|(name, _)| names.contains(&plain(name).as_str()));
        hit.map(|(_, argument)| (*argument).to_owned())
    };
    let styles = [("cursor", &CURSORS[..]), ("offset", &OFFSETS[..]), ("page", &PAGES[..])];
    let (style, argument) =
        styles.iter().find_map(|(style, names)| find(names).map(|argument| (*style, argument)))?;
    let next = members.iter().find(|member| {
        let last = member.rsplit('.').next().unwrap_or_default();
        NEXTS.contains(&plain(last).as_str())
    });
    Some(Paging { style, argument, size: find(&SIZES), next: next.cloned() })
}

impl Paging {
    /// A sentence for those who call the tool.
    pub(crate) fn sentence(&self) -> String {
        let Self { style, argument, size, next } = self;
        let from = match (*style, next) {
            ("cursor", Some(next)) => format!("pass `{argument}` as `{next}` of the last answer says"),
            ("cursor", None) => format!("pass `{argument}` with where the last answer ended"),
            ("offset", _) => format!("`{argument}` says how many to leave out"),
            _ => format!("`{argument}` is the page's number"),
        };
        let size = size.as_ref().map(|size| format!("; `{size}` is how many one has")).unwrap_or_default();
        format!("Comes in pages: {from}{size}.")
    }

    pub(crate) fn value(&self) -> Value {
        let mut out = json!({ "style": self.style, "argument": self.argument });
        for (name, value) in [("size", &self.size), ("next", &self.next)] {
            if let Some(value) = value {
                out[name] = value.as_str().into();
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_recognised_by_their_usual_names() {
        let members = |list: &[&str]| list.iter().map(|m| (*m).to_owned()).collect::<Vec<_>>();
        let said = |query: &[(&str, &str)], next: &[&str]| {
            recognise(query, &members(next)).map(|paging| paging.sentence())
        };
        assert_eq!(
            said(&[("q", "q"), ("after", "after"), ("limit", "limit")], &["data", "next"]).as_deref(),
            Some(
                "Comes in pages: pass `after` as `next` of the last answer says; `limit` is how many one has."
            )
        );
        assert_eq!(
            said(&[("per_page", "per_page"), ("page", "page")], &[]).as_deref(),
            Some("Comes in pages: `page` is the page's number; `per_page` is how many one has.")
        );
        assert_eq!(
            said(&[("$skip", "skip")], &[]).as_deref(),
            Some("Comes in pages: `skip` says how many to leave out.")
        );
        assert_eq!(said(&[("q", "q"), ("limit", "limit")], &["next"]), None);
    }
}
