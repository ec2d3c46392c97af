//! What is asked of a list.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::Timestamp;

use super::wire::CURSOR_CHARS_MAX;
use crate::moment::moment_from_text;

/// Entries of a page where nobody says.
pub const LIMIT_DEFAULT: usize = 30;
/// Entries of a page at most.
pub const LIMIT_MAX: usize = 100;
/// Characters of a search.
const SEARCH_CHARS_MAX: usize = 200;

/// What is asked of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// After this one: a name and a version.
    pub(super) after: Option<(String, String)>,
    /// How many.
    pub limit: usize,
    /// What stands somewhere in the name, the title or the description, in small letters.
    pub search: Option<String>,
    /// Only what changed after this.
    pub updated_since: Option<Timestamp>,
    /// Only this version, or the latest one.
    pub version: Option<String>,
    /// With what was deleted.
    pub include_deleted: bool,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            after: None,
            limit: LIMIT_DEFAULT,
            search: None,
            updated_since: None,
            version: None,
            include_deleted: false,
        }
    }
}

/// Why a question is refused, as a client may read it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// No number from 1.
    #[error("limit has to be a number from 1 to {LIMIT_MAX}")]
    Limit,
    /// No moment.
    #[error("updated_since has to be a date and time of RFC 3339")]
    UpdatedSince,
    /// Neither true nor false.
    #[error("include_deleted has to be true or false")]
    IncludeDeleted,
    /// Too long a word.
    #[error("{0} is too long")]
    TooLong(&'static str),
    /// The same parameter twice.
    #[error("{0} stands twice")]
    Twice(&'static str),
    /// No cursor that was given out for this question.
    #[error("the cursor is not one of this list")]
    Cursor,
}

/// Reads the decoded parameters of a request. What nobody knows is passed over, as the interface grows.
///
/// # Errors
/// [`QueryError`]
pub fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Query, QueryError> {
    const NAMES: [&str; 6] = ["cursor", "limit", "search", "updated_since", "version", "include_deleted"];
    let mut given: [Option<&str>; 6] = [None; 6];
    for (name, value) in pairs {
        let Some(at) = NAMES.iter().position(|known| *known == name) else { continue };
        if given[at].replace(value).is_some() {
            return Err(QueryError::Twice(NAMES[at]));
        }
    }
    let [cursor, limit, search, since, version, deleted] = given.map(|value| value.filter(|v| !v.is_empty()));
    let mut query = Query::default();
    if let Some(limit) = limit {
        let limit: usize = limit.parse().map_err(|_| QueryError::Limit)?;
        if limit == 0 {
            return Err(QueryError::Limit);
        }
        query.limit = limit.min(LIMIT_MAX);
    }
    if let Some(search) = search {
        if search.chars().count() > SEARCH_CHARS_MAX {
            return Err(QueryError::TooLong("search"));
        }
        query.search = Some(search.to_lowercase());
    }
    if let Some(since) = since {
        // A plus sign of an offset that was not escaped comes as a space.
        let since = moment_from_text(&since.replace(' ', "+"));
        query.updated_since = Some(since.ok_or(QueryError::UpdatedSince)?);
    }
    if version.is_some_and(|version| version.len() > 255) {
        return Err(QueryError::TooLong("version"));
    }
    query.version = version.map(str::to_owned);
    query.include_deleted = match deleted {
        None | Some("false") => query.updated_since.is_some(),
        Some("true") => true,
        Some(_) => return Err(QueryError::IncludeDeleted),
    };
    if let Some(cursor) = cursor {
        query.after = Some(query.open(cursor).ok_or(QueryError::Cursor)?);
    }
    Ok(query)
}

impl Query {
    /// The cursor that goes on after an entry. It says where and in which question, and nothing that whoever
    /// has it did not see: what it may show is decided anew by the one who reads it.
    pub(super) fn cursor(&self, name: &str, version: &str) -> String {
        URL_SAFE_NO_PAD.encode(format!("1\n{}\n{name}\n{version}", self.mark()))
    }

    fn open(&self, cursor: &str) -> Option<(String, String)> {
        if cursor.len() > CURSOR_CHARS_MAX {
            return None;
        }
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let mut parts = text.splitn(4, '\n');
        let [one, mark, name, version] = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
        let fits = one == "1" && mark == self.mark() && name.len() <= 200 && version.len() <= 255;
        fits.then(|| (name.to_owned(), version.to_owned()))
    }

    /// A mark of the question without its page: a cursor goes on in the list in which it was given out.
    fn mark(&self) -> String {
        let since = self.updated_since.map(|at| at.0);
        let text = format!("{:?} {since:?} {:?} {}", self.search, self.version, self.include_deleted);
        seal::hex(&seal::sha256(text.as_bytes())[..6])
    }
}
