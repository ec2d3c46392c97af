//! What operators may do.

/// What an operator may do. Each may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Sees everything, and changes nothing.
    Viewer,
    /// Acts on what runs.
    Operator,
    /// Does everything.
    Admin,
}

impl Role {
    /// All, from the least to the highest.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// One word for each, as in the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// Groups that a session remembers of somebody.
const KEPT_MAX: usize = 12;

/// Which groups may do what. An empty list is nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roles {
    /// Of those who do everything.
    pub admin: Vec<String>,
    /// Of those who act.
    pub operator: Vec<String>,
    /// Of those who see.
    pub viewer: Vec<String>,
}

impl Roles {
    fn groups(&self, role: Role) -> &[String] {
        match role {
            Role::Admin => &self.admin,
            Role::Operator => &self.operator,
            Role::Viewer => &self.viewer,
        }
    }

    /// What a member of these groups may do; `None`: nothing.
    #[must_use]
    pub fn of(&self, groups: &[String]) -> Option<Role> {
        let has = |role: &Role| self.groups(*role).iter().any(|group| groups.contains(group));
        Role::ALL.into_iter().rev().find(has)
    }

    /// The groups with a role that a member of these is in: as many of them as a cookie has place for. Those
    /// of the highest role come first.
    #[must_use]
    pub fn kept(&self, groups: &[String]) -> Vec<String> {
        let mut kept: Vec<String> = Vec::new();
        // One of each role first, so that no role is lost.
        let of = |role: &Role| self.groups(*role).iter().filter(|group| groups.contains(group));
        let firsts = Role::ALL.iter().rev().filter_map(|role| of(role).next());
        for group in firsts.chain(Role::ALL.iter().rev().flat_map(of)) {
            if kept.len() < KEPT_MAX && !kept.contains(group) {
                kept.push(group.clone());
            }
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&str]) -> Vec<String> {
        all.iter().map(|&one| one.to_owned()).collect()
    }

    fn roles() -> Roles {
        Roles { admin: names(&["a", "b"]), operator: names(&["o"]), viewer: names(&["v", "a"]) }
    }

    #[test]
    fn whoever_is_in_several_groups_has_the_highest_role() {
        for (groups, role) in [
            (&["a"][..], Some(Role::Admin)),
            (&["v", "o"], Some(Role::Operator)),
            (&["x", "v", "b"], Some(Role::Admin)),
            (&["v"], Some(Role::Viewer)),
            (&["x", "A", "a "], None),
            (&[], None),
        ] {
            assert_eq!(roles().of(&names(groups)), role, "{groups:?}");
            assert_eq!(roles().of(&roles().kept(&names(groups))), role, "{groups:?}, of what is kept");
        }
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
    }

    #[test]
    fn an_empty_list_is_nobody() {
        assert_eq!(Roles::default().of(&names(&["a", ""])), None);
        let no_admin = Roles { admin: Vec::new(), ..roles() };
        assert_eq!(no_admin.of(&names(&["b"])), None);
    }
}
