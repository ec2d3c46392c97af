//! What is different in a definition, for a person who has to decide.

use std::fmt::Write as _;

use serde_json::Value;

/// Words of one text that are compared with each other; of longer ones, only what is the same at their
/// beginnings and ends is told apart.
const WORDS_MAX: usize = 600;
/// Differences that are told.
const CHANGES_MAX: usize = 200;
/// Characters of one value that are printed.
const SHOWN_CHARS_MAX: usize = 2_000;

/// What is different at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It was not there.
    Added(Value),
    /// It is not there any more.
    Removed(Value),
    /// It is another value.
    Replaced(Value, Value),
    /// It is another text, word by word.
    Text(Vec<Fragment>),
}

/// A part of a text that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fragment {
    /// Both have it.
    Same(String),
    /// Only the new one has it.
    Added(String),
    /// Only the old one has it.
    Removed(String),
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where, as JSON pointer.
    pub pointer: String,
    /// What.
    pub change: Change,
}

/// What is different in `new`, both as [`super::Definition::text`]; at most some hundred differences.
#[must_use]
pub fn diff(old: &str, new: &str) -> Vec<Difference> {
    let mut found = Vec::new();
    match (serde_json::from_str::<Value>(old), serde_json::from_str::<Value>(new)) {
        (Ok(a), Ok(b)) if a != b => compare(&a, &b, &mut String::new(), &mut found),
        // They say the same to one reader, and are still not the same.
        _ if old != new => found.push(Difference { pointer: String::new(), change: text(old, new) }),
        _ => {}
    }
    found
}

fn compare(old: &Value, new: &Value, at: &mut String, found: &mut Vec<Difference>) {
    if old == new || found.len() >= CHANGES_MAX {
        return;
    }
    let length = at.len();
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            let added = b.keys().filter(|name| !a.contains_key(*name));
            for name in a.keys().chain(added) {
                let _ = write!(at, "/{}", name.replace('~', "~0").replace('/', "~1"));
                both(a.get(name), b.get(name), at, found);
                at.truncate(length);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for number in 0..a.len().max(b.len()) {
                let _ = write!(at, "/{number}");
                both(a.get(number), b.get(number), at, found);
                at.truncate(length);
            }
        }
        (Value::String(a), Value::String(b)) => {
            found.push(Difference { pointer: at.clone(), change: text(a, b) });
        }
        _ => {
            let change = Change::Replaced(old.clone(), new.clone());
            found.push(Difference { pointer: at.clone(), change });
        }
    }
}

fn both(old: Option<&Value>, new: Option<&Value>, at: &mut String, found: &mut Vec<Difference>) {
    let change = match (old, new) {
        (Some(a), Some(b)) => return compare(a, b, at, found),
        (None, Some(b)) => Change::Added(b.clone()),
        (Some(a), None) => Change::Removed(a.clone()),
        (None, None) => return,
    };
    if found.len() < CHANGES_MAX {
        found.push(Difference { pointer: at.clone(), change });
    }
}

/// Words and what stands between them, which counts as well.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let space = first.is_whitespace();
        let end = rest.find(|char: char| char.is_whitespace() != space).unwrap_or(rest.len());
        words.push(&rest[..end]);
        rest = &rest[end..];
    }
    words
}

fn text(old: &str, new: &str) -> Change {
    let (a, b) = (words(old), words(new));
    let same = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let (a_rest, b_rest) = (&a[same..], &b[same..]);
    let tail = a_rest.iter().rev().zip(b_rest.iter().rev()).take_while(|(x, y)| x == y).count();
    let (a_mid, b_mid) = (&a_rest[..a_rest.len() - tail], &b_rest[..b_rest.len() - tail]);
    let mut out = Vec::new();
    push(&mut out, Fragment::Same(a[..same].concat()));
    if a_mid.len() > WORDS_MAX || b_mid.len() > WORDS_MAX {
        push(&mut out, Fragment::Removed(a_mid.concat()));
        push(&mut out, Fragment::Added(b_mid.concat()));
    } else {
        aligned(a_mid, b_mid, &mut out);
    }
    push(&mut out, Fragment::Same(a_rest[a_rest.len() - tail..].concat()));
    Change::Text(out)
}

/// The longest common part of both, word by word.
fn aligned(a: &[&str], b: &[&str], out: &mut Vec<Fragment>) {
    let width = b.len() + 1;
    let mut length = vec![0_u16; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            length[i * width + j] = if a[i] == b[j] {
                length[(i + 1) * width + j + 1] + 1
            } else {
                length[(i + 1) * width + j].max(length[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            push(out, Fragment::Same(a[i].to_owned()));
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || (i < a.len() && length[(i + 1) * width + j] >= length[i * width + j + 1]) {
            push(out, Fragment::Removed(a[i].to_owned()));
            i += 1;
        } else {
            push(out, Fragment::Added(b[j].to_owned()));
            j += 1;
        }
    }
}

fn push(out: &mut Vec<Fragment>, fragment: Fragment) {
    let (Fragment::Same(more) | Fragment::Added(more) | Fragment::Removed(more)) = &fragment;
    if more.is_empty() {
        return;
    }
    match (out.last_mut(), &fragment) {
        (Some(Fragment::Same(last)), Fragment::Same(more))
        | (Some(Fragment::Added(last)), Fragment::Added(more))
        | (Some(Fragment::Removed(last)), Fragment::Removed(more)) => last.push_str(more),
        _ => out.push(fragment),
    }
}

/// The same differences as lines: `+` for what is new, `-` for what is gone; inside a text `{+…+}` and
/// `[-…-]`. What nobody would see is spelled out, and nothing reaches a terminal as a command.
#[must_use]
pub fn diff_text(differences: &[Difference]) -> String {
    let mut out = String::new();
    for Difference { pointer, change } in differences {
        let place = if pointer.is_empty() { "(all of it)".to_owned() } else { visible(pointer) };
        let _ = match change {
            Change::Added(value) => writeln!(out, "+ {place}: {}", shown(value)),
            Change::Removed(value) => writeln!(out, "- {place}: {}", shown(value)),
            Change::Replaced(a, b) => writeln!(out, "- {place}: {}\n+ {place}: {}", shown(a), shown(b)),
            Change::Text(parts) => {
                let parts = parts.iter().map(|part| match part {
                    Fragment::Same(text) => cut(&visible(text)),
                    Fragment::Added(text) => format!("{{+{}+}}", cut(&visible(text))),
                    Fragment::Removed(text) => format!("[-{}-]", cut(&visible(text))),
                });
                writeln!(out, "~ {place}: {}", parts.collect::<String>())
            }
        };
    }
    out
}

fn shown(value: &Value) -> String {
    cut(&visible(&value.to_string()))
}

/// The beginning and the end: what was slipped in stands at either.
fn cut(text: &str) -> String {
    let count = text.chars().count();
    if count <= SHOWN_CHARS_MAX {
        return text.to_owned();
    }
    let half = SHOWN_CHARS_MAX / 2;
    let (head, tail) = (text.chars().take(half), text.chars().skip(count - half));
    format!("{} […{} characters…] {}", head.collect::<String>(), count - 2 * half, tail.collect::<String>())
}

/// The text with what a person would not see spelled out, such as `\u{202e}`.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        let hidden = char.is_control()
            || matches!(
                char,
                '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            )
            || matches!(char, '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}')
            || matches!(char, '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}')
            || matches!(char, '\u{FFA0}' | '\u{E0000}'..='\u{E0FFF}');
        if hidden {
            let _ = match char {
                '\n' => write!(out, "\\n"),
                '\t' => write!(out, "\\t"),
                _ => write!(out, "\\u{{{:x}}}", u32::from(char)),
            };
        } else {
            out.push(char);
        }
    }
    out
}
