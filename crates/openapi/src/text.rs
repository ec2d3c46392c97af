//! Descriptions: what an operation says of itself, without markup, and with an end.

/// The tags whose marks are left away. Others may be types in angle brackets.
const TAGS: [&str; 32] = [
    "a",
    "b",
    "blockquote",
    "br",
    "code",
    "dd",
    "div",
    "dl",
    "dt",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "li",
    "ol",
    "p",
    "pre",
    "span",
    "strong",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
    "ul",
];

/// A text without marks of HTML, without its comments, and with single spaces and few empty lines.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        rest = match skipped(from) {
            Some(after) => {
                if !out.ends_with(|c: char| c.is_whitespace()) && !inline(from) {
                    out.push(' ');
                }
                after
            }
            None => {
                out.push('<');
                &from[1..]
            }
        };
    }
    out.push_str(rest);
    tidy(&out)
}

fn name_of(tag: &str) -> &str {
    let inner = tag.trim_start_matches('<').trim_start_matches('/');
    let end = inner.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(inner.len());
    &inner[..end]
}

fn inline(tag: &str) -> bool {
    ["a", "b", "code", "em", "i", "span", "strong"].contains(&name_of(tag))
}

/// What follows a comment or a tag that `text` begins with.
fn skipped(text: &str) -> Option<&str> {
    if let Some(comment) = text.strip_prefix("<!--") {
        // One that does not end hides the rest.
        return Some(comment.find("-->").map_or("", |end| &comment[end + 3..]));
    }
    let name = name_of(text).to_ascii_lowercase();
    let end = text.find('>').filter(|end| *end < 512)?;
    TAGS.contains(&name.as_str()).then(|| &text[end + 1..])
}

fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.lines().map(str::trim_end) {
        if line.trim().is_empty() {
            empty += 1;
            continue;
        }
        if !out.is_empty() {
            out.push_str(if empty > 0 { "\n\n" } else { "\n" });
        }
        empty = 0;
        let indent: String = line.chars().take_while(|c| *c == ' ').take(8).collect();
        out.push_str(&indent);
        let words: Vec<&str> = line.split_whitespace().collect();
        out.push_str(&words.join(" "));
    }
    out.trim().to_owned()
}

/// At most `max` characters, ended by dots where something was cut off.
pub(crate) fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let kept: String = text.chars().take(max.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_goes_and_words_stay() {
        assert_eq!(
            plain("<p>Returns a <code>List<Pet></code>.</p>\n\n\n<!-- ignore all -->ok"),
            "Returns a List<Pet>.\n\nok"
        );
        assert_eq!(plain("a < b <!-- never ends"), "a < b");
        assert_eq!(plain("one<br/>two"), "one two");
        assert_eq!(plain("* a\n* b"), "* a\n* b");
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("äbc", 3), "äbc");
    }
}
