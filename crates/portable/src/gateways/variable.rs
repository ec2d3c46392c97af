//! Variables in values, as gateways spell them, and back.

use crate::text::{Piece, Text};

/// How a gateway spells a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `$NAME`, `${NAME}` and `${NAME:-default}`, as shells do.
    Shell,
    /// `${NAME}` alone.
    Braces,
    /// `os.environ/NAME`, as the whole value.
    OsEnviron,
}

/// Reads a value. What is no variable stays text.
pub(super) fn read(text: &str, style: Style) -> Text {
    match style {
        Style::OsEnviron => match text.strip_prefix("os.environ/") {
            Some(name) if is_name(name) => Text::env(name),
            _ => Text::plain(text),
        },
        Style::Shell | Style::Braces => dollars(text, style),
    }
}

fn dollars(text: &str, style: Style) -> Text {
    let mut found = Text::default();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        found.push(Piece::Plain(before.to_owned()));
        match piece(after, style) {
            Some((piece, left)) => {
                found.push(piece);
                rest = left;
            }
            None => {
                found.push(Piece::Plain("$".to_owned()));
                rest = after;
            }
        }
    }
    found.with(Piece::Plain(rest.to_owned()))
}

/// The piece after a `$`, and what is left.
fn piece(after: &str, style: Style) -> Option<(Piece, &str)> {
    if let Some(inside) = after.strip_prefix('{') {
        let (inside, left) = inside.split_once('}')?;
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) if style == Style::Shell => (name, Some(default.to_owned())),
            _ => (inside, None),
        };
        return is_name(name).then(|| (Piece::Env { name: name.to_owned(), default }, left));
    }
    if style != Style::Shell {
        return None;
    }
    if let Some(left) = after.strip_prefix('$') {
        return Some((Piece::Plain("$".to_owned()), left));
    }
    let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
    let (name, left) = after.split_at(end);
    is_name(name).then(|| (Piece::Env { name: name.to_owned(), default: None }, left))
}

fn is_name(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    !text.is_empty() && text.bytes().all(word) && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// Writes a value. `None`: the gateway has no spelling for something in it.
pub(super) fn write(text: &Text, style: Style) -> Option<String> {
    if style == Style::OsEnviron {
        return match (text.as_plain(), text.as_env()) {
            (Some(plain), _) => Some(plain.to_owned()),
            (None, Some(name)) => Some(format!("os.environ/{name}")),
            (None, None) => None,
        };
    }
    let mut out = String::new();
    for piece in text.pieces() {
        match piece {
            Piece::Plain(plain) if style == Style::Shell => out.push_str(&plain.replace('$', "$$")),
            // A `$` before a brace would be read as a variable.
            Piece::Plain(plain) if plain.contains("${") => return None,
            Piece::Plain(plain) => out.push_str(plain),
            Piece::Env { name, default: None } => out.push_str(&format!("${{{name}}}")),
            Piece::Env { name, default: Some(default) }
                if style == Style::Shell && !default.contains('}') =>
            {
                out.push_str(&format!("${{{name}:-{default}}}"));
            }
            Piece::Env { .. } | Piece::Input(_) | Piece::File(_) | Piece::Vault { .. } | Piece::Place(_) => {
                return None;
            }
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_read_as_each_gateway_spells_them() {
        let env = |name: &str, default: Option<&str>| Piece::Env {
            name: name.to_owned(),
            default: default.map(str::to_owned),
        };
        for (text, style, expected) in [
            ("plain", Style::Shell, vec![Piece::Plain("plain".to_owned())]),
            ("Bearer $TOKEN", Style::Shell, vec![Piece::Plain("Bearer ".to_owned()), env("TOKEN", None)]),
            ("${A:-b}/x", Style::Shell, vec![env("A", Some("b")), Piece::Plain("/x".to_owned())]),
            ("5$ $$ ${", Style::Shell, vec![Piece::Plain("5$ $ ${".to_owned())]),
            ("$TOKEN ${TOKEN}", Style::Braces, vec![Piece::Plain("$TOKEN ".to_owned()), env("TOKEN", None)]),
            ("${a b}", Style::Braces, vec![Piece::Plain("${a b}".to_owned())]),
            ("os.environ/TOKEN", Style::OsEnviron, vec![env("TOKEN", None)]),
            (
                "Bearer os.environ/TOKEN",
                Style::OsEnviron,
                vec![Piece::Plain("Bearer os.environ/TOKEN".to_owned())],
            ),
            ("${TOKEN}", Style::OsEnviron, vec![Piece::Plain("${TOKEN}".to_owned())]),
        ] {
            assert_eq!(read(text, style).pieces(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        for style in [Style::Shell, Style::Braces, Style::OsEnviron] {
            for text in [
                Text::plain("a$b $$ ${x"),
                Text::plain("a").with(Piece::Env { name: "B".to_owned(), default: None }),
                Text::env("B"),
                Text::default().with(Piece::Env { name: "B".to_owned(), default: Some("c".to_owned()) }),
            ] {
                if let Some(written) = write(&text, style) {
                    assert_eq!(read(&written, style), text, "{written}");
                }
            }
            assert_eq!(write(&Text::file("/run/a"), style), None);
        }
    }
}
