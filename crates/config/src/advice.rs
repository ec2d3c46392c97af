//! "Did you mean": what somebody probably wanted to write.

/// The known word that is nearest to `given`, if one is near enough.
///
/// Near is up to a third of the letters wrong, missing, too many or swapped; case, `-` and `_` do not count.
pub(crate) fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A long text is no slip of the finger, and the distance costs the product of the lengths.
    if given.len() > 64 {
        return None;
    }
    let plain = |word: &str| word.replace(['-', '_'], "").to_lowercase();
    let wanted = plain(given);
    let distance = |word: &'a str| (strsim::osa_distance(&wanted, &plain(word)), word);
    let (distance, word) = known.into_iter().map(distance).min_by_key(|(distance, _)| *distance)?;
    let longest = wanted.chars().count().max(plain(word).chars().count());
    (distance * 3 <= longest).then_some(word)
}

/// The hint that names a near word.
pub(crate) fn did_you_mean(word: &str) -> String {
    format!("did you mean {word:?}?")
}

/// `"a"`, `"a" or "b"`, `"a", "b" or "c"`.
pub(crate) fn one_of(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

/// What to write here in place of a key that other programs have.
pub(crate) fn foreign_key(section: &str, key: &str) -> Option<&'static str> {
    match (section, key) {
        ("upstreams", "args") => Some("the arguments belong to \"command\", as in [npx, -y, server]"),
        ("upstreams", "type") => Some("a \"url\" or a \"command\" says it; see also \"transport\""),
        ("upstreams" | "endpoints", "deprecated") => {
            Some("write \"lifecycle: {state: deprecated, deprecated_on: 2026-12-01}\"")
        }
        ("upstreams", "disabled") => Some("write \"enabled: false\""),
        ("upstreams", "timeout") => {
            Some("use \"timeouts\", with \"connect\", \"first_byte\", \"idle\" and \"total\"")
        }
        ("upstreams", "retry") => {
            Some("use \"retries\", a list of rules such as {tools: \"get_*\", max_attempts: 3}")
        }
        ("upstreams", "max_retries") => {
            Some("use \"max_attempts\" of a rule in \"retries\", which counts the first attempt too")
        }
        ("upstreams", "insecure_skip_verify" | "insecure" | "skip_verify" | "verify") => {
            Some("certificates are always checked; name the authority's file in \"ca\"")
        }
        ("mcpServers" | "servers", _) => Some("this is a client's file; give it with --mcp-json"),
        ("rate_limit" | "rate_limits" | "ratelimit", _) => Some("use \"rates\", a list of rules with names"),
        ("port" | "host" | "address" | "bind", _) => Some("use \"listen\", as in 127.0.0.1:7400"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 5] = ["url", "command", "revision", "forward_headers", "headers"];

    #[test]
    fn a_slip_finds_what_was_meant() {
        for (given, meant) in [
            ("revsion", "revision"),
            ("reviison", "revision"),
            ("Url", "url"),
            ("uri", "url"),
            ("forwardHeaders", "forward_headers"),
            ("forward-headers", "forward_headers"),
            ("header", "headers"),
        ] {
            assert_eq!(nearest(given, KEYS), Some(meant), "{given}");
        }
    }

    #[test]
    fn what_is_far_from_everything_finds_nothing() {
        for given in ["", "x", "xyz", "timeouts", &"revision".repeat(9)] {
            assert_eq!(nearest(given, KEYS), None, "{given}");
        }
        assert_eq!(nearest("url", []), None);
    }

    #[test]
    fn words_are_listed_as_people_do() {
        assert_eq!(one_of(&["a"]), "\"a\"");
        assert_eq!(one_of(&["a", "b"]), "\"a\" or \"b\"");
        assert_eq!(one_of(&["a", "b", "c"]), "\"a\", \"b\" or \"c\"");
    }
}
