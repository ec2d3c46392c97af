//! Where a crawl begins.

use discovery::{Address, CATALOG_PATH, shown};

/// Domains of one list.
pub const SEEDS_MAX: usize = 100_000;

/// One domain or URL that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    /// As it was written.
    pub text: String,
    /// What is asked for first.
    pub url: Address,
    /// Whether that is a domain's catalog, and nothing else is looked for.
    pub is_domain: bool,
}

/// Why something is no domain and no URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SeedError {
    /// It is neither.
    #[error("{text}, line {line}: {why}")]
    NoPlace {
        /// As it may be shown.
        text: String,
        /// In which line of the list.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// The list is too long.
    #[error("more than {SEEDS_MAX} domains")]
    TooMany,
}

impl Seed {
    /// Reads a domain (`acme.example`) or a URL.
    ///
    /// # Errors
    /// In words what is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let is_url = text.starts_with("http://") || text.starts_with("https://");
        if !is_url && text.contains(['/', '?']) {
            return Err("neither a domain nor a URL that begins with https://".to_owned());
        }
        let whole = if is_url { text.to_owned() } else { format!("https://{text}") };
        let url = Address::parse(&whole).map_err(|error| error.to_string())?;
        // An origin alone is a domain, too.
        let is_domain = !is_url || url.path_and_query() == "/";
        let url = if is_domain {
            Address::parse(&format!("{}{CATALOG_PATH}", url.origin())).map_err(|error| error.to_string())?
        } else {
            url
        };
        Ok(Self { text: text.to_owned(), url, is_domain })
    }
}

/// Reads a list: a domain or a URL in each line; what begins with `#` is a remark. What stands twice counts
/// once.
///
/// # Errors
/// All lines that are wrong.
pub fn seeds(text: &str) -> Result<Vec<Seed>, Vec<SeedError>> {
    let (mut seeds, mut errors) = (Vec::new(), Vec::new());
    let mut seen = std::collections::BTreeSet::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match Seed::read(line) {
            Ok(seed) if seen.insert(seed.url.normal()) => seeds.push(seed),
            Ok(_) => {}
            Err(why) => errors.push(SeedError::NoPlace { text: shown(line), line: at + 1, why }),
        }
        if seeds.len() > SEEDS_MAX {
            return Err(vec![SeedError::TooMany]);
        }
        if errors.len() >= discovery::FAULTS_MAX {
            break;
        }
    }
    if errors.is_empty() { Ok(seeds) } else { Err(errors) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_its_catalog_and_a_url_is_itself() {
        for (text, url, is_domain) in [
            ("acme.example", "https://acme.example/.well-known/ai-catalog.json", true),
            ("https://acme.example", "https://acme.example/.well-known/ai-catalog.json", true),
            ("http://127.0.0.1:8/", "http://127.0.0.1:8/.well-known/ai-catalog.json", true),
            ("acme.example:8443", "https://acme.example:8443/.well-known/ai-catalog.json", true),
            ("https://acme.example/crm/mcp", "https://acme.example/crm/mcp", false),
        ] {
            let seed = Seed::read(text).expect("a place");
            assert_eq!((seed.url.normal().as_str(), seed.is_domain), (url, is_domain), "{text}");
        }
        for text in ["", "a b", "acme.example/x", "ftp://acme.example", "https://u:p@acme.example", "127.1"] {
            assert!(Seed::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_list_has_remarks_and_says_which_line_is_wrong() {
        let all = seeds("# ours\nacme.example\n\n acme.example \nhttps://b.example/mcp\n").expect("a list");
        assert_eq!(all.len(), 2);
        let errors = seeds("a.example\nno way\n").expect_err("one is wrong");
        assert!(errors[0].to_string().starts_with("\"no way\", line 2"), "{errors:?}");
    }
}
