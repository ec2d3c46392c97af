//! How many tokens a text will cost a model, about.

/// An estimate of how many tokens a text is for the models of today. No tokenizer ships: each vendor has his
/// own. What it is off by on lists of tools is in `docs/finding.md`.
///
/// A run of letters counts one for each ten characters begun, a run of digits one for each three, a run of
/// signs one for each four; a space goes with what follows it; other characters count one each.
#[must_use]
pub fn estimate(text: &str) -> usize {
    let mut total = 0;
    let mut run = (Class::Space, 0_usize);
    for c in text.chars() {
        let class = Class::of(c);
        if class == run.0 {
            run.1 += 1;
        } else {
            total += run.0.tokens(run.1);
            run = (class, 1);
        }
    }
    total + run.0.tokens(run.1)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Digit,
    Sign,
    Space,
    Other,
}

impl Class {
    fn of(c: char) -> Self {
        match c {
            'a'..='z' | 'A'..='Z' => Self::Letter,
            '0'..='9' => Self::Digit,
            c if c.is_whitespace() => Self::Space,
            c if c.is_ascii() => Self::Sign,
            _ => Self::Other,
        }
    }

    fn tokens(self, length: usize) -> usize {
        match self {
            Self::Letter => length.div_ceil(10),
            Self::Digit => length.div_ceil(3),
            Self::Sign => length.div_ceil(4),
            Self::Space => length.saturating_sub(1).div_ceil(8),
            Self::Other => length,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_costs_about_what_its_words_and_signs_do() {
        assert_eq!(estimate(""), 0);
        assert_eq!(estimate("List the files"), 3);
        assert_eq!(estimate("{\"type\":\"string\"}"), 5);
        assert_eq!(estimate("2026"), 2);
        assert_eq!(estimate("検索"), 2);
    }
}
