//! Printing results. A reader that has seen enough, such as `head`, ends the program quietly.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal as _, Write as _};

/// Prints a line on stdout.
pub fn line(text: impl Display) {
    if let Err(error) = writeln!(std::io::stdout().lock(), "{text}") {
        let code = if error.kind() == ErrorKind::BrokenPipe { 0 } else { i32::from(crate::exit::FAILURE) };
        std::process::exit(code);
    }
}

/// Prints lines of a server's own: as they are for a program, harmless for a terminal.
pub fn foreign(text: &str) {
    if std::io::stdout().is_terminal() { line(plain(text)) } else { line(text) }
}

/// Text of a server's own without what a terminal would obey or show in another order than it stands: such
/// characters become `\u{…}`.
pub fn plain(text: &str) -> Cow<'_, str> {
    let harmful = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(harmful) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    for c in text.replace("\r\n", "\n").chars() {
        if harmful(c) { plain.extend(c.escape_unicode()) } else { plain.push(c) }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn a_servers_text_cannot_command_the_terminal() {
        assert_eq!(plain("two\nlines,\ta tab, é and 潮"), "two\nlines,\ta tab, é and 潮");
        assert_eq!(plain("a\r\nb"), "a\nb");
        assert_eq!(plain("\u{1b}[2Jx\u{9b}1m\rz"), "\\u{1b}[2Jx\\u{9b}1m\\u{d}z");
        assert_eq!(plain("abc\u{202e}fed"), "abc\\u{202e}fed");
    }
}
