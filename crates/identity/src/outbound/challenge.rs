//! What a server says that refuses a request (RFC 6750, section 3; RFC 9110, section 11.6.1; RFC 9728).

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// The longest header that is read, in bytes.
const BYTES_MAX: usize = 8 * 1024;

/// What a challenge asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Challenge {
    /// Why, in the words of the specification: `invalid_token`, `insufficient_scope`.
    pub error: Option<String>,
    /// Scopes that the operation needs.
    pub scopes: Vec<String>,
    /// Where the server's metadata is.
    pub metadata: Option<String>,
    /// Whether it asks for proofs of possession (RFC 9449, section 7.1).
    pub bound: bool,
}

impl Challenge {
    /// The challenge of an answer, as far as it is one for bearer tokens or proofs of possession.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let texts = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        texts.filter(|text| text.len() <= BYTES_MAX).find_map(Self::parse)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim_start();
        let mut found = None;
        // One header may have several challenges; a word without `=` after it begins the next one.
        while !rest.is_empty() {
            let word = rest.split(|c: char| c.is_whitespace() || c == '=' || c == ',').next().unwrap_or("");
            let after = rest[word.len()..].trim_start();
            if word.is_empty() {
                rest = rest[1..].trim_start();
            } else if let Some(value) = after.strip_prefix('=') {
                let (value, left) = value_of(value.trim_start());
                if let Some(challenge) = &mut found {
                    Self::take(challenge, word, value);
                }
                rest = left.trim_start();
            } else {
                if found.is_some() {
                    break;
                }
                let bound = word.eq_ignore_ascii_case("dpop");
                let known = bound || word.eq_ignore_ascii_case("bearer");
                found = known.then(|| Self { bound, ..Self::default() });
                rest = after;
            }
        }
        found
    }

    fn take(&mut self, name: &str, value: String) {
        match name.to_ascii_lowercase().as_str() {
            "error" => self.error = Some(value),
            "scope" => self.scopes = value.split_ascii_whitespace().map(str::to_owned).collect(),
            "resource_metadata" => self.metadata = Some(value),
            _ => {}
        }
    }
}

/// A token or a quoted string, and what follows it.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| c == ',' || c.is_whitespace()).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in quoted.char_indices() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (value, &quoted[at + 1..]),
            _ => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &'static str) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        headers.append(WWW_AUTHENTICATE, http::HeaderValue::from_static(text));
        Challenge::of(&headers)
    }

    #[test]
    fn a_challenge_is_read_in_every_form_that_it_may_have() {
        let whole = of(r#"Bearer realm="a, b", error="insufficient_scope", scope="x  y",
            resource_metadata="https://m.example/.well-known/x""#
            .replace('\n', " ")
            .leak())
        .expect("a challenge");
        assert_eq!(whole.error.as_deref(), Some("insufficient_scope"));
        assert_eq!(whole.scopes, ["x", "y"]);
        assert_eq!(whole.metadata.as_deref(), Some("https://m.example/.well-known/x"));
        assert_eq!(of("Basic realm=\"x\", Bearer scope=one").expect("one").scopes, ["one"]);
        assert_eq!(of("bearer"), Some(Challenge::default()));
        assert_eq!(
            of("DPoP algs=\"ES256\", error=\"use_dpop_nonce\"").expect("one").error.unwrap(),
            "use_dpop_nonce"
        );
        assert_eq!(of(r#"Bearer error="a\"b""#).expect("one").error.unwrap(), "a\"b");
        for none in ["", "Basic", "Basic realm=\"Bearer scope=x\"", ",,,", "= , =", "Negotiate abc"] {
            assert_eq!(of(none), None, "{none}");
        }
        // Whatever it is, it is read to its end.
        for odd in ["Bearer scope=\"", "Bearer =", "Bearer scope", "Bearer \"x\"", "Bearer ,, scope=a"] {
            let _ = of(odd);
        }
    }
}
