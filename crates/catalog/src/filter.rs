//! Which names are offered.

use wildmatch::WildMatch;

/// `expose` and `hide` lists of globs (`*` for anything, `?` for one character).
#[derive(Debug, Clone, Default)]
pub struct Filter {
    expose: Option<Vec<WildMatch>>,
    hide: Vec<WildMatch>,
}

impl Filter {
    /// `None` offers everything that is not hidden; an empty list offers nothing.
    #[must_use]
    pub fn new(expose: Option<&[String]>, hide: &[String]) -> Self {
        let globs = |list: &[String]| list.iter().map(|glob| WildMatch::new(glob)).collect::<Vec<_>>();
        Self { expose: expose.map(globs), hide: globs(hide) }
    }

    /// Whether the name is offered.
    #[must_use]
    pub fn allows(&self, name: &str) -> bool {
        let exposed = self.expose.as_ref().is_none_or(|globs| globs.iter().any(|glob| glob.matches(name)));
        exposed && !self.hide.iter().any(|glob| glob.matches(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(globs: &[&str]) -> Vec<String> {
        globs.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_empty_list_denies_and_hiding_wins() {
        assert!(Filter::default().allows("a_b"));
        assert!(!Filter::new(Some(&[]), &[]).allows("a_b"));
        let filter = Filter::new(Some(&list(&["crm_*", "files_read_?"])), &list(&["*_delete*"]));
        assert!(filter.allows("crm_find") && filter.allows("files_read_x"));
        assert!(
            !filter.allows("files_read_xy") && !filter.allows("crm_delete_all") && !filter.allows("CRM_find")
        );
    }
}
