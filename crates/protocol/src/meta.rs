//! What a request says about itself, read out of `params._meta` without touching the rest.

use crate::json::{JsonError, Object, Raw};
use crate::latest::meta;

/// The reserved entries of a modern request's `_meta`; everything else stays in the bytes.
#[derive(Debug, Clone, Default)]
pub struct Meta {
    /// The revision that the request is made in.
    pub protocol_version: Option<Raw>,
    /// What the client can do: an object.
    pub client_capabilities: Option<Raw>,
    /// Who the client says it is. Self-asserted: never a ground for a decision.
    pub client_info: Option<Raw>,
    /// From which level on the client wants log messages of this request.
    pub log_level: Option<Raw>,
    /// What progress notifications are marked with: a string or an integer.
    pub progress_token: Option<Raw>,
    /// `traceparent`, `tracestate`, `baggage`, in this order.
    pub trace: [Option<Raw>; 3],
}

impl Meta {
    /// Reads the reserved entries of `params._meta`.
    ///
    /// # Errors
    /// [`JsonError`] where a name stands twice in `params` or `_meta`.
    pub fn read(params: Option<&Raw>) -> Result<Self, JsonError> {
        let Some(params) = params.map(Raw::object).transpose()?.flatten() else { return Ok(Self::default()) };
        Self::of_params(&params)
    }

    /// [`Meta::read`] of params that are split already.
    ///
    /// # Errors
    /// [`JsonError`] where a name stands twice in `_meta`.
    pub fn of_params(params: &Object) -> Result<Self, JsonError> {
        let Some(entries) = params.get("_meta").map(|m| m.object()).transpose()?.flatten() else {
            return Ok(Self::default());
        };
        Ok(Self {
            protocol_version: entries.get(meta::PROTOCOL_VERSION),
            client_capabilities: entries.get(meta::CLIENT_CAPABILITIES),
            client_info: entries.get(meta::CLIENT_INFO),
            log_level: entries.get(meta::LOG_LEVEL),
            progress_token: entries.get(meta::PROGRESS_TOKEN),
            trace: meta::TRACE.map(|name| entries.get(name)),
        })
    }

    /// Whether this is how a modern request looks.
    #[must_use]
    pub fn is_modern(&self) -> bool {
        self.protocol_version.is_some()
    }
}
