//! Where in a configuration something is, by keys.

use std::fmt;

/// One step of a [`Path`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Seg {
    /// Into a map.
    Key(String),
    /// Into a list.
    Index(usize),
}

/// The keys from the top of a file to one of its values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Path(Vec<Seg>);

impl Path {
    pub(crate) fn new(segs: Vec<Seg>) -> Self {
        Self(segs)
    }

    /// The path of keys only.
    pub(crate) fn keys<const N: usize>(keys: [&str; N]) -> Self {
        Self(keys.iter().map(|key| Seg::Key((*key).to_owned())).collect())
    }

    /// One key further.
    pub(crate) fn key(&self, key: &str) -> Self {
        self.with(Seg::Key(key.to_owned()))
    }

    /// One item further.
    pub(crate) fn index(&self, index: usize) -> Self {
        self.with(Seg::Index(index))
    }

    fn with(&self, seg: Seg) -> Self {
        let mut segs = self.0.clone();
        segs.push(seg);
        Self(segs)
    }

    pub(crate) fn segs(&self) -> &[Seg] {
        &self.0
    }

    /// The last key, if the last step is one.
    pub(crate) fn last_key(&self) -> Option<&str> {
        match self.0.last() {
            Some(Seg::Key(key)) => Some(key),
            Some(Seg::Index(_)) | None => None,
        }
    }

    pub(crate) fn starts_with(&self, start: &Self) -> bool {
        self.0.starts_with(&start.0)
    }
}

impl fmt::Display for Path {
    /// `upstreams.crm.command[1]`; a key with other characters than names have stands in quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, seg) in self.0.iter().enumerate() {
            match seg {
                Seg::Index(index) => write!(f, "[{index}]")?,
                Seg::Key(key) => {
                    if at > 0 {
                        f.write_str(".")?;
                    }
                    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
                    if !key.is_empty() && key.len() <= 128 && key.bytes().all(plain) {
                        f.write_str(key)?;
                    } else {
                        write!(f, "{:?}", key.chars().take(128).collect::<String>())?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_with_dots_and_brackets() {
        assert_eq!(Path::default().to_string(), "");
        assert_eq!(
            Path::keys(["upstreams", "crm", "command"]).index(1).to_string(),
            "upstreams.crm.command[1]"
        );
        assert_eq!(Path::keys(["a", "b.c", ""]).to_string(), "a.\"b.c\".\"\"");
        assert_eq!(Path::keys(["a\nb"]).to_string(), "\"a\\nb\"");
    }
}
