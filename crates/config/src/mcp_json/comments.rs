//! Comments in JSON, as editors write them.

/// Puts a space in the place of each character of a comment, so that positions stay what they are.
pub(super) fn blank_out(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('"', _) => {
                out.push(c);
                string(&mut chars, &mut out);
            }
            ('/', Some('/')) => {
                out.push(' ');
                while let Some(c) = chars.next_if(|c| !matches!(c, '\n' | '\r')) {
                    out.push(blank(c));
                }
            }
            ('/', Some('*')) => {
                out.push_str("  ");
                chars.next();
                let mut star = false;
                for c in chars.by_ref() {
                    out.push(blank(c));
                    if star && c == '/' {
                        break;
                    }
                    star = c == '*';
                }
            }
            _ => out.push(c),
        }
    }
    out
}

/// Copies the rest of a string.
fn string(chars: &mut impl Iterator<Item = char>, out: &mut String) {
    let mut escaped = false;
    for c in chars {
        out.push(c);
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return,
            _ => {}
        }
    }
}

fn blank(c: char) -> char {
    if matches!(c, '\n' | '\r') { c } else { ' ' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_become_space_and_strings_stay() {
        for (text, expected) in [
            ("{} // x", "{}     "),
            ("// é\n{}", "    \n{}"),
            ("/* a\nb */{}", "    \n    {}"),
            ("/***/1", "     1"),
            ("/*/1", "    "),
            (r#"{"a": "http://x", "b\"//": 1} // c"#, r#"{"a": "http://x", "b\"//": 1}     "#),
            ("\"unclosed // x", "\"unclosed // x"),
            ("/* unclosed", "           "),
            ("a / b", "a / b"),
        ] {
            assert_eq!(blank_out(text), expected, "{text:?}");
        }
    }
}
