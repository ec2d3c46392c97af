//! One spelling for all texts that say the same (after RFC 8785).

use super::{Raw, string};

/// The canonical spelling of a value: no space, members by name (in UTF-16 code units), strings with as few
/// escapes as can be, numbers as short as they can be read back.
///
/// What readers may take for different things has no such spelling, and is taken as it is: an object in which
/// a name stands twice, a string with a lone surrogate, an integer that no double holds.
#[must_use]
pub fn canonical(value: &Raw) -> String {
    let mut out = String::with_capacity(value.as_bytes().len());
    write(value, &mut out);
    out
}

/// As deep as messages are.
fn write(value: &Raw, out: &mut String) {
    if let Some(items) = value.items() {
        out.push('[');
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            write(item, out);
        }
        out.push(']');
        return;
    }
    match value.object() {
        Ok(Some(object)) => {
            let mut members: Vec<_> = object.iter().collect();
            members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push('{');
            for (at, (name, value)) in members.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                push(out, &string(name));
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
        Ok(None) => scalar(value, out),
        Err(_) => out.push_str(value.as_text()),
    }
}

fn push(out: &mut String, bytes: &[u8]) {
    out.push_str(std::str::from_utf8(bytes).unwrap_or_default());
}

fn scalar(value: &Raw, out: &mut String) {
    if let Some(text) = value.as_str() {
        return push(out, &string(&text));
    }
    let spelled = value.as_text();
    // Of numbers that are beyond a double two different ones would become the same.
    let exact = |number: i64| number.unsigned_abs() <= 1 << 53;
    match (value.as_i64(), value.as_f64()) {
        (Some(number), _) if exact(number) => out.push_str(&number.to_string()),
        (Some(_), _) | (_, None) => out.push_str(spelled),
        (None, Some(number)) if number.is_finite() && spelled.bytes().any(|b| b".eE".contains(&b)) => {
            if number.fract() == 0.0 && number.abs() < 1e15 {
                // As an integer, whichever way it was written; and no zero is less than nothing.
                out.push_str(&format!("{:.0}", number + 0.0));
            } else {
                out.push_str(&format!("{number:e}"));
            }
        }
        (None, Some(_)) => out.push_str(spelled),
    }
}
