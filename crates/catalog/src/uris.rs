//! Which upstream a resource URI belongs to.
//!
//! URIs stay what the upstream said. Where two upstreams list the same one, the later's is wrapped:
//! `tidegate://UPSTREAM/` and the original, letter for letter, so that templates keep working.

use crate::listing::Listing;

/// The beginning of wrapped URIs.
const SCHEME: &str = "tidegate://";

/// A URI that names its upstream.
#[must_use]
pub(crate) fn wrap(upstream: &str, uri: &str) -> String {
    format!("{SCHEME}{upstream}/{uri}")
}

/// Whether a URI looks as if we had wrapped it. An upstream's own such URIs (it may be a gateway, too) are
/// wrapped again, so that they unwrap to the letter.
#[must_use]
pub(crate) fn is_wrapped(uri: &str) -> bool {
    uri.starts_with(SCHEME)
}

/// The upstream and the original of a wrapped URI.
#[must_use]
pub(crate) fn unwrap(uri: &str) -> Option<(&str, &str)> {
    uri.strip_prefix(SCHEME)?.split_once('/').filter(|(_, rest)| !rest.is_empty())
}

/// How well a URI fits what an upstream lists; higher is better, `None` not at all.
#[must_use]
pub(crate) fn fit(uri: &str, resources: Option<&Listing>, templates: Option<&Listing>) -> Option<usize> {
    if resources.is_some_and(|l| l.get(uri).is_some()) {
        return Some(usize::MAX);
    }
    let of_template =
        templates.iter().flat_map(|l| &l.items).filter_map(|item| template_fit(&item.key, uri)).max();
    if let Some(literal) = of_template {
        return Some(literal + 1_000);
    }
    let root = root(uri)?;
    let listed = resources.iter().chain(templates.iter()).flat_map(|l| &l.items);
    listed.into_iter().any(|item| self::root(&item.key) == Some(root)).then_some(root.len().min(999))
}

/// Whether a URI can be an expansion of an RFC 6570 template.
#[must_use]
pub(crate) fn fits(template: &str, uri: &str) -> bool {
    template_fit(template, uri).is_some()
}

/// Scheme and authority.
fn root(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_once(':')?;
    let authority =
        rest.strip_prefix("//").map_or(0, |r| 2 + r.find(['/', '?', '#', '{']).unwrap_or(r.len()));
    Some(&uri[..scheme.len() + 1 + authority])
}

/// How many literal characters of an RFC 6570 template a URI repeats in order; `None` where it cannot be
/// an expansion.
fn template_fit(template: &str, uri: &str) -> Option<usize> {
    let (mut rest, mut at, mut literal) = (template, uri, 0);
    let mut open_start = false;
    loop {
        let (text, after) = match rest.split_once('{') {
            Some((text, after)) => (text, Some(after)),
            None => (rest, None),
        };
        literal += text.len();
        match (open_start, after) {
            (false, _) => at = at.strip_prefix(text)?,
            (true, None) => return at.ends_with(text).then_some(literal),
            (true, Some(_)) => at = &at[at.find(text)? + text.len()..],
        }
        let Some(after) = after else { return at.is_empty().then_some(literal) };
        rest = after.split_once('}')?.1;
        open_start = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_uri_names_its_upstream_and_unwraps_to_the_letter() {
        for uri in ["file:///a b", "demo://notes/{id}", "x:y?z=/&w#f"] {
            assert_eq!(unwrap(&wrap("crm", uri)), Some(("crm", uri)));
        }
        assert_eq!(unwrap("tidegate://crm"), None);
        assert_eq!(unwrap("tidegate://crm/"), None);
        assert_eq!(unwrap("file:///a"), None);
    }

    #[test]
    fn a_template_fits_its_expansions_only() {
        assert_eq!(template_fit("demo://notes/{id}", "demo://notes/7"), Some(13));
        assert_eq!(template_fit("a://{x}/b/{y}/c", "a://1/b/2/c"), Some(9));
        assert_eq!(template_fit("a://b", "a://b"), Some(5));
        for (template, uri) in [
            ("demo://notes/{id}", "demo://note/7"),
            ("a://{x}/c", "a://1/d"),
            ("a://b", "a://bc"),
            ("a://{x", "a://1"),
        ] {
            assert_eq!(template_fit(template, uri), None, "{template} {uri}");
        }
    }

    #[test]
    fn scheme_and_authority_are_the_root() {
        assert_eq!(root("file:///a/b"), Some("file://"));
        assert_eq!(root("demo://notes/{id}"), Some("demo://notes"));
        assert_eq!(root("urn:x:y"), Some("urn:"));
        assert_eq!(root("nothing"), None);
    }
}
