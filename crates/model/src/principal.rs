//! Who calls.

use std::fmt;
use std::sync::Arc;

/// Who calls: a person, a workload, or nobody in particular. Always inside a tenant.
///
/// Everything that is kept for a caller (sessions, cached private lists, parked calls, sealed handles)
/// is bound to this value, so two principals never share any of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    tenant: Arc<str>,
    subject: Arc<str>,
}

impl Principal {
    /// A known caller.
    #[must_use]
    pub fn new(tenant: &str, subject: &str) -> Self {
        Self { tenant: Arc::from(tenant), subject: Arc::from(subject) }
    }

    /// The caller of an endpoint that asks for no credentials.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::new("default", "anonymous")
    }

    /// The tenant that the caller belongs to.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The caller's id inside the tenant.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.subject)
    }
}
